#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vit22b {

/// One message under way; ended once, by the transport.
class Request {
 public:
  using Clock = std::chrono::steady_clock;
  /// Ends the request; `failure` "" for success.
  void end(const std::string& failure = "") {
    std::vector<std::function<void()>> next;
    std::shared_ptr<const void> moved;
    {
      const std::lock_guard lock(mutex_);
      if (is_done_) return;
      is_done_ = true;
      failure_ = failure;
      if (failure.empty()) moved.swap(memory_);
      next.swap(next_);
      ended_.notify_all();
    }
    for (const auto& call : next) call();
  }
  bool is_done() const {
    const std::lock_guard lock(mutex_);
    return is_done_;
  }
  /// Holds the message's memory until it has moved; of a request that fails as long as the request
  /// itself is held, since the transport may still write there.
  void keep(std::shared_ptr<const void> memory) {
    const std::lock_guard lock(mutex_);
    if (!is_done_ || !failure_.empty()) memory_ = std::move(memory);
  }
  /// Calls `next` at the end, from the thread that ends it; at once when it has ended.
  void then(std::function<void()> next) {
    {
      const std::lock_guard lock(mutex_);
      if (!is_done_) {
        next_.push_back(std::move(next));
        return;
      }
    }
    next();
  }
  void wait() const {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return is_done_; });
  }
  /// False when the time is up first.
  bool wait_until(Clock::time_point time) const {
    std::unique_lock lock(mutex_);
    return ended_.wait_until(lock, time, [this] { return is_done_; });
  }
  /// Why it failed, "" where it did not.
  std::string failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  bool is_done_ = false;
  std::string failure_;
  std::vector<std::function<void()>> next_;
  std::shared_ptr<const void> memory_;
};
using RequestPtr = std::shared_ptr<Request>;

/// Moves bytes between the ranks of a run: all that a communicator of CPU ranks is built on.
///
/// Messages of one (sender, receiver, channel) keep their order; one whose size is not its
/// receiver's fails. Memory stays untouched until the request has ended. Once a rank is lost, every
/// request fails.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  virtual RequestPtr send(int64_t to, int channel, const void* data, size_t bytes) = 0;
  virtual RequestPtr recv(int64_t from, int channel, void* data, size_t bytes) = 0;
  /// Tells the others that this rank ends before its time, and why; they fail at once.
  virtual void leave(const std::string& reason) = 0;
  /// Whether this rank is watched and not lost: silence alone ends a wait for it, however long its
  /// work takes. False where the transport watches nobody.
  virtual bool is_heard(int64_t) const { return false; }
  /// Called once, from the transport's thread, with what is known of the first lost rank.
  virtual void when_lost(const std::function<void(const std::string&)>&) {}
};

/// A transport's module exports a function of this name and type: it joins the run that the process
/// was launched in. `deadline_s` is how long a rank may be silent. On failure it returns null and
/// fills `failure`.
using JoinTransport = Transport* (*)(double deadline_s, std::string& failure);
/// The number goes up when Transport's functions change: a module of another build is refused.
constexpr const char* kJoinTransportSymbol = "vit22b_join_transport_2";

}  // namespace vit22b
