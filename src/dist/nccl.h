#pragma once
#include <functional>
#include <memory>
#include <string>

#include "dist/communicator.h"

namespace vit22b {

/// What an NCCL communicator needs besides its id.
struct NcclOptions {
  int64_t rank = 0, size = 1;
  at::Device device = at::Device(at::kCUDA, 0);
  double deadline_s = 600;
  /// Why a rank is lost, as another channel has it, "" while none is; asked a few times a second.
  std::function<std::string()> loss = [] { return std::string(); };
};

/// A fresh id, which one rank makes and all hand to make_nccl.
///
/// throws  UsageError when libtorch_cuda.so has brought no NCCL into the process
std::string nccl_unique_id();

/// GPU ranks over NCCL, on a high-priority stream of its own. Waiting makes the current stream
/// wait, not the host; tensors on the CPU are copied to the GPU and back, which waits. bfloat16 is
/// added as float32 copies. Operations
/// that are not done by the deadline, or when a rank is known to be lost, abort the communicator,
/// and the next use throws LostRank.
///
/// unique_id  from nccl_unique_id of one rank
std::unique_ptr<Communicator> make_nccl(const std::string& unique_id, const NcclOptions& options);

}  // namespace vit22b
