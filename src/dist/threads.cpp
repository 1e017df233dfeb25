#include "dist/threads.h"

#include <omp.h>

#include <cstring>
#include <deque>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

#include "core/error.h"

namespace vit22b {

class ThreadHub {
 public:
  explicit ThreadHub(int64_t size) : size_(size) {}
  int64_t size() const { return size_; }

  struct Message {
    const void* from = nullptr;
    void* to = nullptr;
    size_t bytes = 0;
    RequestPtr request;
  };
  using Key = std::tuple<int64_t, int64_t, int>;  // sender, receiver, channel

  // Whoever comes second copies.
  RequestPtr post(const Key& key, Message message) {
    message.request = std::make_shared<Request>();
    RequestPtr own = message.request;
    Message other;
    {
      const std::lock_guard lock(mutex_);
      if (!failure_.empty()) {
        own->end(failure_);
        return own;
      }
      const bool is_send = message.from != nullptr;
      std::deque<Message>& others = (is_send ? receivers_ : senders_)[key];
      if (others.empty()) {
        (is_send ? senders_ : receivers_)[key].push_back(message);
        return own;
      }
      other = others.front();
      others.pop_front();
    }
    const Message& sent = message.from != nullptr ? message : other;
    const Message& received = message.from != nullptr ? other : message;
    if (sent.bytes != received.bytes) {
      const std::string text =
          concat("a message of ", sent.bytes, " bytes met a receiver of ", received.bytes);
      own->end(text);
      other.request->end(text);
      return own;
    }
    std::memcpy(received.to, sent.from, sent.bytes);
    other.request->end();
    own->end();
    return own;
  }

  void lose(const std::string& failure) {
    std::vector<RequestPtr> open;
    {
      const std::lock_guard lock(mutex_);
      if (failure_.empty()) failure_ = failure;
      for (auto* all : {&senders_, &receivers_})
        for (auto& [key, messages] : *all) {
          for (const Message& message : messages) open.push_back(message.request);
          messages.clear();
        }
    }
    for (const RequestPtr& request : open) request->end(failure);
  }

 private:
  int64_t size_;
  std::mutex mutex_;
  std::string failure_;
  std::map<Key, std::deque<Message>> senders_, receivers_;
};

namespace {

// Stands for the address of an empty message.
char empty_message;

class ThreadTransport : public Transport {
 public:
  ThreadTransport(std::shared_ptr<ThreadHub> hub, int64_t rank)
      : hub_(std::move(hub)), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return hub_->size(); }
  RequestPtr send(int64_t to, int channel, const void* data, size_t bytes) override {
    return hub_->post({rank_, to, channel},
                      {.from = bytes > 0 ? data : &empty_message, .bytes = bytes});
  }
  RequestPtr recv(int64_t from, int channel, void* data, size_t bytes) override {
    return hub_->post({from, rank_, channel}, {.to = data, .bytes = bytes});
  }
  void leave(const std::string& reason) override {
    hub_->lose(concat("rank ", rank_, " has left: ", reason));
  }

 private:
  std::shared_ptr<ThreadHub> hub_;
  int64_t rank_;
};

}  // namespace

std::shared_ptr<ThreadHub> make_thread_hub(int64_t size) {
  return std::make_shared<ThreadHub>(size);
}

std::shared_ptr<Transport> join_threads(const std::shared_ptr<ThreadHub>& hub, int64_t rank) {
  return std::make_shared<ThreadTransport>(hub, rank);
}

void run_as_threads(int64_t size,
                    const std::function<void(const std::shared_ptr<Transport>&)>& act) {
  const std::shared_ptr<ThreadHub> hub = make_thread_hub(size);
  std::mutex mutex;
  std::exception_ptr cause, consequence;
  std::vector<std::jthread> threads;
  for (int64_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(1);  // of this thread alone: the ranks share the cores
      const std::shared_ptr<Transport> transport = join_threads(hub, rank);
      try {
        act(transport);
      } catch (const LostRank& lost) {
        transport->leave(lost.what());
        const std::lock_guard lock(mutex);
        if (consequence == nullptr) consequence = std::current_exception();
      } catch (const std::exception& failure) {
        transport->leave(failure.what());
        const std::lock_guard lock(mutex);
        if (cause == nullptr) cause = std::current_exception();
      }
    });
  threads.clear();  // joins
  if (cause == nullptr) cause = consequence;
  if (cause != nullptr) std::rethrow_exception(cause);
}

}  // namespace vit22b
