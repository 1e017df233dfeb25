#include "dist/group.h"

#include <omp.h>

#include <atomic>
#include <deque>
#include <thread>

#include "core/error.h"
#include "core/log.h"
#include "core/trace.h"
#include "dist/collectives.h"
#include "dist/lost.h"

namespace vit22b {
namespace {

using Clock = Request::Clock;

// What an error says of a message.
struct MessageName {
  const char* verb;  // "send to", "receive from"
  int64_t peer;
  std::string tensor;
};

// A collective in the group's own thread.
class Job : public Pending {
 public:
  explicit Job(Collective collective) : collective_(std::move(collective)) {}
  bool is_done() override { return request_.is_done(); }
  void wait() override {
    request_.wait();  // each message in it has its own deadline
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }
  void run(const std::function<void(const Collective&)>& act) {
    try {
      act(collective_);
    } catch (...) {
      failure_ = std::current_exception();
    }
    collective_ = {};
    request_.end();
  }

 private:
  Collective collective_;
  std::exception_ptr failure_;
  Request request_;
};

const char* verb_of(Collective::Kind kind) {
  switch (kind) {
    case Collective::Kind::kAllReduce:
      return "all-reduce";
    case Collective::Kind::kAllGather:
      return "all-gather";
    case Collective::Kind::kReduceScatter:
      return "reduce-scatter";
    case Collective::Kind::kBroadcast:
      return "broadcast";
  }
  return "";
}

class Group : public Communicator {
 public:
  Group(std::shared_ptr<Transport> transport, GroupOptions options)
      : transport_(std::move(transport)), options_(std::move(options)) {
    for (size_t i = 0; i < options_.members.size(); ++i)
      if (options_.members[i] == transport_->rank()) rank_ = static_cast<int64_t>(i);
    VIT22B_CHECK(rank_ >= 0, "group: this rank is no member");
  }
  ~Group() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
  }

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return static_cast<int64_t>(options_.members.size()); }
  void set_step(int64_t step) override { step_ = step; }
  int64_t bytes_sent() const override { return bytes_sent_; }

  PendingPtr send(const at::Tensor& tensor, int64_t to, std::string_view name) override;
  PendingPtr recv(const at::Tensor& into, int64_t from, std::string_view name) override;

  PendingPtr start(const Collective& collective) override {
    auto job = std::make_shared<Job>(collective);
    const std::lock_guard lock(mutex_);
    if (!worker_.joinable()) worker_ = std::jthread([this] { work(); });
    jobs_.push_back(job);
    changed_.notify_all();
    return job;
  }

  void run(const Collective& collective) override {
    bool is_queued = false;
    {
      const std::lock_guard lock(mutex_);
      is_queued = is_working_ || !jobs_.empty();
    }
    // Nothing is ahead: no need of the other thread. One thread starts a group's collectives.
    is_queued ? start(collective)->wait() : perform(collective);
  }

  // Bytes from or to a member, alive until they have moved.
  RequestPtr post(const Peers::Exchange& half, int channel);
  void await(const RequestPtr& request, const MessageName& name) const;
  std::string outcome(const RequestPtr& request, const MessageName& name) const;

 private:
  int64_t member(int64_t rank) const { return options_.members.at(static_cast<size_t>(rank)); }
  void perform(const Collective& collective);
  void work();

  const std::shared_ptr<Transport> transport_;
  const GroupOptions options_;
  int64_t rank_ = -1;
  std::atomic<int64_t> step_{-1}, bytes_sent_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  bool is_working_ = false, is_stopping_ = false;
  std::jthread worker_;  // last: it uses all of the above
};

// One message as a caller holds it.
class Message : public Pending {
 public:
  Message(const Group& group, RequestPtr request, MessageName name)
      : group_(group), request_(std::move(request)), name_(std::move(name)) {
    if (!is_tracing()) return;
    request_->then([name = name_.tensor, begin = trace_clock_ns()] {
      add_trace_span(TraceLane::kTransfer, name, begin, trace_clock_ns());
    });
  }
  bool is_done() override { return request_->is_done(); }
  void wait() override { group_.await(request_, name_); }

 private:
  const Group& group_;
  RequestPtr request_;
  MessageName name_;
};

// A group as its collectives see it.
class CollectivePeers : public Peers {
 public:
  CollectivePeers(Group& group, int channel, const Collective& collective)
      : group_(group),
        channel_(channel),
        name_(concat(verb_of(collective.kind), " '", collective.name, "'")) {}
  int64_t rank() const override { return group_.rank(); }
  int64_t size() const override { return group_.size(); }

  void exchange(const std::vector<Exchange>& messages) override {
    std::vector<std::pair<RequestPtr, MessageName>> open;
    for (const Exchange& m : messages) {
      if (m.received.defined())
        open.emplace_back(group_.post({.from = m.from, .received = m.received}, channel_),
                          MessageName{"receive from", m.from, name_});
      if (m.sent.defined())
        open.emplace_back(group_.post({.to = m.to, .sent = m.sent}, channel_),
                          MessageName{"send to", m.to, name_});
    }
    for (const auto& [request, name] : open) group_.await(request, name);
  }

 private:
  Group& group_;
  int channel_;
  std::string name_;
};

PendingPtr Group::send(const at::Tensor& tensor, int64_t to, std::string_view name) {
  return std::make_shared<Message>(*this, post({.to = to, .sent = tensor}, options_.channel),
                                   MessageName{"send to", to, concat("'", name, "'")});
}

PendingPtr Group::recv(const at::Tensor& into, int64_t from, std::string_view name) {
  return std::make_shared<Message>(*this, post({.from = from, .received = into}, options_.channel),
                                   MessageName{"receive from", from, concat("'", name, "'")});
}

RequestPtr Group::post(const Peers::Exchange& half, int channel) {
  const bool is_send = half.sent.defined();
  const at::Tensor& tensor = is_send ? half.sent : half.received;
  VIT22B_CHECK(tensor.is_contiguous() && tensor.is_cpu(),
               "message: wants a contiguous tensor on the CPU");
  if (is_send) bytes_sent_ += static_cast<int64_t>(tensor.nbytes());
  RequestPtr request =
      is_send ? transport_->send(member(half.to), channel, tensor.const_data_ptr(), tensor.nbytes())
              : transport_->recv(member(half.from), channel, tensor.mutable_data_ptr(),
                                 tensor.nbytes());
  request->keep(std::make_shared<at::Tensor>(tensor));  // whoever gives up waiting
  return request;
}

// Why a message has not moved, "" where it has. The deadline is for silence: a peer that is heard
// may work as long as it likes before it comes, and its loss ends the request.
std::string Group::outcome(const RequestPtr& request, const MessageName& name) const {
  for (double patience_s = options_.deadline_s;; patience_s *= 2) {
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(patience_s));
    if (request->wait_until(until)) return request->failure();
    if (!transport_->is_heard(member(name.peer)))
      return concat("no answer within ", options_.deadline_s, " s");
    log_warn(concat("rank ", transport_->rank(), " has waited ", patience_s, " s to ", name.verb,
                    " rank ", member(name.peer), " (", name.tensor,
                    "), which is alive and at work; it waits on"));
  }
}

void Group::await(const RequestPtr& request, const MessageName& name) const {
  const std::string failure = outcome(request, name);
  if (failure.empty()) return;
  const int64_t step = step_;
  throw LostRank(step >= 0 ? concat("step ", step, ": ") : "", "rank ", transport_->rank(),
                 " could not ", name.verb, " rank ", member(name.peer), " (", name.tensor,
                 "): ", failure, kAfterALoss);
}

void Group::perform(const Collective& collective) {
  const TraceSpan span(TraceLane::kTransfer, collective.name);
  CollectivePeers peers(*this, options_.channel + 1, collective);
  run_collective(peers, collective);
}

void Group::work() {
  // Its sums are bound by memory, and the cores belong to the computation beside it.
  omp_set_num_threads(1);
  const at::NoGradGuard no_grad;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_stopping_ || !jobs_.empty(); });
    if (is_stopping_) return;
    const std::shared_ptr<Job> job = jobs_.front();
    jobs_.pop_front();
    is_working_ = true;
    lock.unlock();
    job->run([this](const Collective& collective) { perform(collective); });
    lock.lock();
    is_working_ = false;
  }
}

}  // namespace

std::unique_ptr<Communicator> make_group(std::shared_ptr<Transport> transport,
                                         const GroupOptions& options) {
  return std::make_unique<Group>(std::move(transport), options);
}

}  // namespace vit22b
