#include "dist/nccl.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "dist/lost.h"

namespace vit22b {
namespace {

using Clock = std::chrono::steady_clock;

// The part of nccl.h in use; NCCL 2 keeps these forms.
struct NcclId {
  char bytes[128];
};
using NcclComm = void*;
enum NcclType : int {
  kInt8 = 0,
  kUint8 = 1,
  kInt64 = 4,
  kFloat32 = 7,
  kFloat64 = 8,
  kBFloat16 = 9
};
enum NcclReduction : int { kNcclSum = 0, kNcclMax = 2 };

template <class Function>
void find(Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  if (function == nullptr)
    throw UsageError("NCCL's ", name,
                     " is not in the process; GPU ranks need --device cuda and the "
                     "wheel nvidia-nccl-cu13 beside libtorch");
}

// NCCL's functions, which libtorch_cuda.so brings into the process.
struct Nccl {
  Nccl() {
    find(get_unique_id, "ncclGetUniqueId");
    find(comm_init_rank, "ncclCommInitRank");
    find(comm_abort, "ncclCommAbort");
    find(comm_destroy, "ncclCommDestroy");
    find(error_string, "ncclGetErrorString");
    find(group_start, "ncclGroupStart");
    find(group_end, "ncclGroupEnd");
    find(send, "ncclSend");
    find(recv, "ncclRecv");
    find(all_reduce, "ncclAllReduce");
    find(broadcast, "ncclBroadcast");
    find(reduce, "ncclReduce");
  }
  int (*get_unique_id)(NcclId*);
  int (*comm_init_rank)(NcclComm*, int, NcclId, int);
  int (*comm_abort)(NcclComm);
  int (*comm_destroy)(NcclComm);
  const char* (*error_string)(int);
  int (*group_start)();
  int (*group_end)();
  int (*send)(const void*, size_t, int, int, NcclComm, void*);
  int (*recv)(void*, size_t, int, int, NcclComm, void*);
  int (*all_reduce)(const void*, void*, size_t, int, int, NcclComm, void*);
  int (*broadcast)(const void*, void*, size_t, int, int, NcclComm, void*);
  int (*reduce)(const void*, void*, size_t, int, int, int, NcclComm, void*);
};

const Nccl& nccl() {
  static const Nccl kFunctions;
  return kFunctions;
}

int type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return kFloat32;
    case at::kDouble:
      return kFloat64;
    case at::kBFloat16:
      return kBFloat16;
    case at::kLong:
      return kInt64;
    case at::kByte:
      return kUint8;
    default:
      throw InternalError("NCCL: a tensor of a dtype that communicators do not move");
  }
}

// Done when the communicator's stream has come so far.
class StreamPending : public Pending {
 public:
  StreamPending(const c10::Stream& stream, std::vector<at::Tensor> kept)
      : event_(std::make_shared<c10::Event>(stream.device_type())), kept_(std::move(kept)) {
    event_->record(stream);
  }
  bool is_done() override { return event_->query(); }
  void wait() override {
    const c10::impl::VirtualGuardImpl guard(event_->device_type());
    event_->block(guard.getStream(event_->device()));
    kept_.clear();
  }
  const std::shared_ptr<c10::Event>& event() const { return event_; }

 private:
  std::shared_ptr<c10::Event> event_;
  std::vector<at::Tensor> kept_;
};

// Another, and what is then to be done with what it has brought, once.
class Followed : public Pending {
 public:
  Followed(PendingPtr first, std::function<void()> then)
      : first_(std::move(first)), then_(std::move(then)) {}
  bool is_done() override { return first_->is_done(); }
  void wait() override {
    first_->wait();
    if (const auto then = std::exchange(then_, nullptr)) then();
  }

 private:
  PendingPtr first_;
  std::function<void()> then_;
};

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(const std::string& unique_id, const NcclOptions& options)
      : options_(options),
        guard_(options.device.type()),
        stream_(guard_.getStreamFromGlobalPool(options.device, /*isHighPriority=*/true)) {
    VIT22B_CHECK(unique_id.size() == sizeof(NcclId), "NCCL: not a unique id");
    NcclId id;
    std::memcpy(id.bytes, unique_id.data(), sizeof id.bytes);
    const c10::DeviceGuard device(options.device);
    check(nccl().comm_init_rank(&comm_, static_cast<int>(options.size), id,
                                static_cast<int>(options.rank)),
          "joining");
    watcher_ = std::jthread([this] { watch(); });
  }
  ~NcclCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
    watcher_.join();
    if (!is_lost_) nccl().comm_destroy(comm_);
  }

  int64_t rank() const override { return options_.rank; }
  int64_t size() const override { return options_.size; }
  void set_step(int64_t step) override { step_ = step; }

  PendingPtr send(const at::Tensor& tensor, int64_t to, std::string_view name) override {
    const at::Tensor sent = on_device(tensor);
    return enqueue({sent}, name, [&](void* stream) {
      return nccl().send(sent.const_data_ptr(), count(sent), type_of(sent), static_cast<int>(to),
                         comm_, stream);
    });
  }
  PendingPtr recv(const at::Tensor& into, int64_t from, std::string_view name) override {
    const at::Tensor received = place_for(into);
    return brought(into, received, name, enqueue({received}, name, [&](void* stream) {
                     return nccl().recv(received.mutable_data_ptr(), count(received),
                                        type_of(received), static_cast<int>(from), comm_, stream);
                   }));
  }
  // One operation: on one stream a send would wait for ever before its receive.
  PendingPtr exchange(const Exchange& both, std::string_view name) override {
    const at::Tensor sent = on_device(both.sent), received = place_for(both.received);
    return brought(both.received, received, name,
                   enqueue({sent, received}, name, [&](void* stream) {
                     nccl().group_start();
                     nccl().send(sent.const_data_ptr(), count(sent), type_of(sent),
                                 static_cast<int>(both.to), comm_, stream);
                     nccl().recv(received.mutable_data_ptr(), count(received), type_of(received),
                                 static_cast<int>(both.from), comm_, stream);
                     return nccl().group_end();
                   }));
  }

  PendingPtr start(const Collective& c) override {
    Collective on_gpu = c;
    if (c.input.defined()) on_gpu.input = on_device(c.input);
    on_gpu.output = c.output.is_cuda() ? c.output : c.output.to(options_.device);
    // NCCL adds bfloat16 in bfloat16, a rounding for each rank.
    const bool is_bf16_sum =
        c.output.scalar_type() == at::kBFloat16 && c.reduction == Reduction::kSum &&
        (c.kind == Collective::Kind::kAllReduce || c.kind == Collective::Kind::kReduceScatter);
    if (is_bf16_sum) {
      if (c.input.defined()) on_gpu.input = on_gpu.input.to(at::kFloat);
      on_gpu.output = on_gpu.output.to(at::kFloat);
    }
    return brought(c.output, on_gpu.output, c.name, start_on_device(on_gpu));
  }

 private:
  static size_t count(const at::Tensor& tensor) { return static_cast<size_t>(tensor.numel()); }

  at::Tensor on_device(const at::Tensor& tensor) const { return tensor.to(options_.device); }
  at::Tensor place_for(const at::Tensor& tensor) const {
    if (tensor.is_cuda()) return tensor;
    return at::empty(tensor.sizes(), tensor.options().device(options_.device));
  }
  // Copies what arrived beside a tensor into it, at the wait; to the host that waits for the
  // device.
  PendingPtr brought(const at::Tensor& into, const at::Tensor& arrived, std::string_view name,
                     PendingPtr pending) const {
    if (arrived.is_same(into)) return pending;
    return std::make_shared<Followed>(std::move(pending),
                                      [this, into, arrived, name = std::string(name)] {
                                        into.copy_(arrived);
                                        if (!into.is_cuda() && is_lost_) throw_lost(name);
                                      });
  }

  PendingPtr start_on_device(const Collective& c) {
    return enqueue({c.input, c.output}, c.name, [&](void* stream) {
      switch (c.kind) {
        case Collective::Kind::kAllReduce:
          return nccl().all_reduce(c.output.const_data_ptr(), c.output.mutable_data_ptr(),
                                   count(c.output), type_of(c.output),
                                   c.reduction == Reduction::kSum ? kNcclSum : kNcclMax, comm_,
                                   stream);
        case Collective::Kind::kBroadcast:
          return nccl().broadcast(c.output.const_data_ptr(), c.output.mutable_data_ptr(),
                                  count(c.output), type_of(c.output), static_cast<int>(c.root),
                                  comm_, stream);
        case Collective::Kind::kAllGather:
        case Collective::Kind::kReduceScatter:
          return by_rows(c, stream);
      }
      return 0;
    });
  }

  // Shares may differ by a row, which NCCL's own forms do not know.
  int by_rows(const Collective& c, void* stream) const {
    const bool is_gather = c.kind == Collective::Kind::kAllGather;
    const at::Tensor& whole = is_gather ? c.output : c.input;
    nccl().group_start();
    for (int64_t root = 0; root < size(); ++root) {
      const Share share = share_of(whole.size(0), size(), root);
      if (share.count == 0) continue;
      const at::Tensor rows = whole.narrow(0, share.first, share.count);
      const bool is_own = root == rank();
      const int r = static_cast<int>(root), type = type_of(whole);
      if (is_gather)
        nccl().broadcast(is_own ? c.input.const_data_ptr() : rows.const_data_ptr(),
                         rows.mutable_data_ptr(), count(rows), type, r, comm_, stream);
      else
        nccl().reduce(rows.const_data_ptr(),
                      is_own ? c.output.mutable_data_ptr() : rows.mutable_data_ptr(), count(rows),
                      type, kNcclSum, r, comm_, stream);
    }
    return nccl().group_end();
  }

  template <class Act>
  PendingPtr enqueue(std::vector<at::Tensor> tensors, std::string_view name, const Act& act) {
    if (is_lost_) throw_lost(name);
    for (const at::Tensor& tensor : tensors)
      VIT22B_CHECK(!tensor.defined() || (tensor.is_cuda() && tensor.is_contiguous()), "NCCL '",
                   name, "': wants contiguous tensors on the GPU");
    // What the tensors hold is ready when the current stream has come here.
    c10::Event ready(options_.device.type());
    ready.record(guard_.getStream(options_.device));
    ready.block(stream_);
    const c10::DeviceGuard device(options_.device);
    check(act(stream_.native_handle()), name);
    auto pending = std::make_shared<StreamPending>(stream_, std::move(tensors));
    const std::lock_guard lock(mutex_);
    open_.push_back({pending->event(), Clock::now(), std::string(name)});
    changed_.notify_all();
    return pending;
  }

  void check(int code, std::string_view name) const {
    if (code == 0) return;
    throw LostRank("rank ", options_.rank, ": NCCL '", name, "': ", nccl().error_string(code));
  }

  [[noreturn]] void throw_lost(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    throw LostRank("step ", step_.load(), ": rank ", options_.rank, ", NCCL '", name, "': ", why_,
                   kAfterALoss);
  }

  // Ends the communicator when its oldest operation is older than the deadline, or a rank is known
  // to be lost, so that the host's waits return.
  void watch() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
      changed_.wait_for(lock, std::chrono::milliseconds(200));
      while (!open_.empty() && open_.front().event->query()) open_.pop_front();
      if (is_lost_) continue;
      why_ = options_.loss();
      if (why_.empty() && is_overdue()) {
        why_ = concat("the communicator was ended after ", options_.deadline_s,
                      " s without an answer");
        log_error(concat("step ", step_.load(), ": NCCL '", open_.front().name, "' of rank ",
                         options_.rank, " has had no answer for ", options_.deadline_s, " s"));
      }
      if (why_.empty()) continue;
      is_lost_ = true;
      nccl().comm_abort(comm_);
    }
  }

  bool is_overdue() const {
    return !open_.empty() &&
           std::chrono::duration<double>(Clock::now() - open_.front().begin).count() >=
               options_.deadline_s;
  }

  struct Open {
    std::shared_ptr<c10::Event> event;
    Clock::time_point begin;
    std::string name;
  };

  const NcclOptions options_;
  const c10::impl::VirtualGuardImpl guard_;
  const c10::Stream stream_;
  NcclComm comm_ = nullptr;
  std::atomic<int64_t> step_{-1};
  std::atomic<bool> is_lost_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Open> open_;
  std::string why_;
  bool is_stopping_ = false;
  std::jthread watcher_;
};

}  // namespace

std::string nccl_unique_id() {
  NcclId id{};
  if (const int code = nccl().get_unique_id(&id); code != 0)
    throw LostRank("NCCL cannot make an id: ", nccl().error_string(code));
  return {id.bytes, sizeof id.bytes};
}

std::unique_ptr<Communicator> make_nccl(const std::string& unique_id, const NcclOptions& options) {
  return std::make_unique<NcclCommunicator>(unique_id, options);
}

}  // namespace vit22b
