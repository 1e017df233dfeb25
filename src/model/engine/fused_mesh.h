#pragma once
#include "model/engine/fused_block.h"

// What the block's two passes on a mesh's model axis share.
namespace vit22b::fused {

/// Rows of a matrix that go round the ring together.
inline at::Tensor some_rows(const at::Tensor& tensor, const Share& rows) {
  return tensor.narrow(0, rows.first, rows.count);
}

/// One factor of a sum of products, and the layer whose weight is the other.
struct Factor {
  at::Tensor values;
  const LinearSpec* linear;
};

}  // namespace vit22b::fused
