#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "dist/mesh.h"

namespace vit22b {

/// Rows of one rank's tensor, as they arrive.
struct RingBlock {
  int64_t source = 0;  ///< whose they are
  Share rows;
  at::Tensor tensor;                       ///< [rows.count, C]
  bool is_first = false, is_last = false;  ///< of these rows
};

/// Shows every rank's tensor to `use`, one's own first, each while the next is on its way round the
/// ring: the all-gather half of the paper's asynchronous parallel linear operation.
///
/// own_NC   contiguous; N is the same on all ranks
/// returns  nothing is kept: who needs the blocks later keeps them
void ring_gather(const Mesh& mesh, const at::Tensor& own_NC,
                 const std::function<void(const RingBlock& block)>& use, std::string_view name);

/// Which partial sum is wanted, and where it goes.
struct RingPart {
  int64_t destination = 0;
  Share rows;
  at::Tensor sum;  ///< [rows.count, C] float32, to be overwritten
};

/// The size of a scattered sum on each rank.
struct RingShape {
  int64_t rows = 0, columns = 0;
  at::Device device = at::kCPU;
};

/// Sums a part of each rank for each rank: partial sums travel round the ring while the next part
/// is computed, and end at their destination. The reduce-scatter half.
///
/// shape    N and C of this rank's result; the parts for other ranks have as many
/// returns  [N, C] float32
at::Tensor ring_reduce(const Mesh& mesh, const RingShape& shape,
                       const std::function<void(const RingPart& part)>& compute,
                       std::string_view name);

}  // namespace vit22b
