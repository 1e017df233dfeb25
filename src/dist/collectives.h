#pragma once
#include <cstdint>
#include <functional>

#include "dist/communicator.h"

namespace vit22b {

/// Blocking messages between the ranks of a group, as collectives use them.
class Peers {
 public:
  virtual ~Peers() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  /// A message each way, both at once; undefined tensors for none. The operation's error names the
  /// tensor.
  struct Exchange {
    int64_t to = -1, from = -1;
    at::Tensor sent, received;  ///< contiguous
  };
  /// Returns when all of the messages have arrived and left.
  virtual void exchange(const std::vector<Exchange>& messages) = 0;
};

/// Does a collective, on contiguous CPU tensors.
///
/// Large tensors go round a ring in parts, (k - 1) / k of the bytes a rank and direction; small
/// ones straight to everybody. Sums are taken in an order that depends on the ranks alone, once for
/// each value, so that all ranks get the same bits.
void run_collective(Peers& peers, const Collective& collective);

}  // namespace vit22b
