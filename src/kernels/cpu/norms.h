#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"

/// RMSNorm and LayerNorm over rows, and their derivatives, on one core.
namespace vit22b::cpu {

/// A norm over each row: RMSNorm, or LayerNorm with centring; `bias` may be null.
struct NormWeights {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 1e-6F;
  bool is_centred = false;
};
/// out = factor * norm(x), row by row. In place when `out` is `x`.
void norm_forward(const Rows& x, int64_t rows, int64_t columns, const NormWeights& norm,
                  float factor, const Rows& out);
/// gradient (of factor * norm(x)) becomes the gradient of x; the weight's and bias's gradients are
/// added to `weight_sums` and `bias_sums` where not null.
void norm_backward(const Rows& x, const Tile& gradient, const NormWeights& norm, float factor,
                   float* weight_sums, float* bias_sums);

}  // namespace vit22b::cpu
