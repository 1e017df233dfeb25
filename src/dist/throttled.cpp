#include "dist/throttled.h"

#include <algorithm>
#include <map>
#include <thread>

namespace vit22b {
namespace {

using Clock = Request::Clock;

class Throttled : public Transport {
 public:
  Throttled(std::shared_ptr<Transport> inner, LinkSpeed speed)
      : inner_(std::move(inner)), speed_(speed), carrier_([this] { carry(); }) {}
  ~Throttled() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
  }

  int64_t rank() const override { return inner_->rank(); }
  int64_t size() const override { return inner_->size(); }

  RequestPtr send(int64_t to, int channel, const void* data, size_t bytes) override {
    auto request = std::make_shared<Request>();
    const std::lock_guard lock(mutex_);
    Clock::time_point& is_free = link_free_[to];
    const double seconds = speed_.latency_s + static_cast<double>(bytes) / speed_.bytes_per_second;
    is_free = std::max(is_free, Clock::now()) +
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    waiting_.emplace(is_free, Letter{to, channel, data, bytes, request});
    changed_.notify_all();
    return request;
  }
  RequestPtr recv(int64_t from, int channel, void* data, size_t bytes) override {
    return inner_->recv(from, channel, data, bytes);
  }
  void leave(const std::string& reason) override { inner_->leave(reason); }
  bool is_heard(int64_t rank) const override { return inner_->is_heard(rank); }

 private:
  struct Letter {
    int64_t to;
    int channel;
    const void* data;
    size_t bytes;
    RequestPtr request;
  };

  void carry() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
      if (waiting_.empty()) {
        changed_.wait(lock);
      } else if (const auto first = waiting_.begin(); Clock::now() < first->first) {
        changed_.wait_until(lock, first->first);
      } else {
        const Letter letter = first->second;
        waiting_.erase(first);
        lock.unlock();
        const RequestPtr sent = inner_->send(letter.to, letter.channel, letter.data, letter.bytes);
        sent->then([sent, outer = letter.request] { outer->end(sent->failure()); });
        lock.lock();
      }
    }
  }

  const std::shared_ptr<Transport> inner_;
  const LinkSpeed speed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, Clock::time_point> link_free_;
  std::multimap<Clock::time_point, Letter> waiting_;
  bool is_stopping_ = false;
  std::jthread carrier_;  // last: it uses all of the above
};

}  // namespace

std::shared_ptr<Transport> make_throttled(std::shared_ptr<Transport> inner, LinkSpeed speed) {
  return std::make_shared<Throttled>(std::move(inner), speed);
}

}  // namespace vit22b
