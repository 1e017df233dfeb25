#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vit22b {

/// A range of a global index space.
struct Share {
  int64_t first = 0;
  int64_t count = 0;
  bool operator==(const Share&) const = default;
};

/// Part `index` of n things cut into `parts`: parts follow each other and differ by at most one.
Share share_of(int64_t n, int64_t parts, int64_t index);

/// A rank's number on a ring of `size`, counted on in either direction.
constexpr int64_t around(int64_t rank, int64_t size) {
  return (rank % size + size) % size;
}

/// A transfer or collective under way; it keeps the memory that it reads and writes.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual bool is_done() = 0;
  /// Waits for the end.
  ///
  /// throws  LostRank naming operation, rank, peer, tensor and step when a rank is gone or the
  ///         deadline passes
  virtual void wait() = 0;
};
using PendingPtr = std::shared_ptr<Pending>;

/// How values of several ranks become one.
enum class Reduction { kSum, kMax };

/// One collective operation; `name` is the tensor's in errors and traces.
struct Collective {
  enum class Kind { kAllReduce, kAllGather, kReduceScatter, kBroadcast };
  Kind kind = Kind::kAllReduce;
  at::Tensor input;   ///< all-gather: this rank's rows; reduce-scatter: all rows
  at::Tensor output;  ///< overwritten; the sole operand of all-reduce and broadcast
  Reduction reduction = Reduction::kSum;
  int64_t root = 0;
  std::string name;
};

/// What the ranks of one mesh axis do together, on tensors of float32, bfloat16, float64, int64 or
/// uint8.
///
/// Every rank starts the same collectives in the same order from one thread. Sums of bfloat16 are
/// taken in float32. Every rank receives the same bits.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;

  /// Point to point; messages between two ranks keep their order.
  virtual PendingPtr send(const at::Tensor& tensor, int64_t to, std::string_view name) = 0;
  virtual PendingPtr recv(const at::Tensor& into, int64_t from, std::string_view name) = 0;

  /// A message each way, under way together.
  struct Exchange {
    at::Tensor sent;
    int64_t to = 0;
    at::Tensor received;
    int64_t from = 0;
  };
  virtual PendingPtr exchange(const Exchange& both, std::string_view name);

  /// Starts a collective, and returns at once.
  virtual PendingPtr start(const Collective& collective) = 0;
  /// Does a collective.
  virtual void run(const Collective& collective) { start(collective)->wait(); }

  /// The training step that errors shall name.
  virtual void set_step(int64_t) {}
  /// Payload bytes that this rank has sent, for tests and benchmarks.
  virtual int64_t bytes_sent() const { return 0; }

  /// Adds (or takes the maximum of) a tensor over all ranks, in place.
  void all_reduce_(const at::Tensor& tensor, Reduction reduction, std::string_view name) {
    run({.kind = Collective::Kind::kAllReduce,
         .output = tensor,
         .reduction = reduction,
         .name = std::string(name)});
  }
  /// whole[n, ...] from each rank's share of its rows.
  PendingPtr start_all_gather(const at::Tensor& part, const at::Tensor& whole,
                              std::string_view name) {
    return start({.kind = Collective::Kind::kAllGather,
                  .input = part,
                  .output = whole,
                  .name = std::string(name)});
  }
  void all_gather(const at::Tensor& part, const at::Tensor& whole, std::string_view name) {
    run({.kind = Collective::Kind::kAllGather,
         .input = part,
         .output = whole,
         .name = std::string(name)});
  }
  /// This rank's share of the rows of whole[n, ...] summed over the ranks.
  PendingPtr start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                                  std::string_view name) {
    return start({.kind = Collective::Kind::kReduceScatter,
                  .input = whole,
                  .output = part,
                  .name = std::string(name)});
  }
  /// Gives every rank the tensor of rank `root`.
  void broadcast_(const at::Tensor& tensor, int64_t root, std::string_view name) {
    run({.kind = Collective::Kind::kBroadcast,
         .output = tensor,
         .root = root,
         .name = std::string(name)});
  }
  /// Returns when every rank has come here.
  void barrier();
  /// Rank 0's text, on every rank.
  std::string broadcast_text(std::string text);
  /// Every rank's text, by rank.
  std::vector<std::string> gather_text(const std::string& text);
};

/// One that has ended already.
PendingPtr make_done();

/// The communicator of a single process: every operation is the identity.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace vit22b
