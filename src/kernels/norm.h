#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Root-mean-square norm over the last dim: x / sqrt(mean(x^2) + eps) * weight, no bias, no
/// centring.
///
/// x        [..., D]; statistics in float32
/// weight   [D]
/// returns  [..., D], dtype of x
/// source   Zhang & Sennrich 2019; paper.md's "LayerNorm without bias and centering"
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// Layer norm over the last dim, with centring; bias may be undefined.
///
/// x        [..., D]; statistics in float32
/// returns  [..., D], dtype of x
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);

/// Vectors along the last dim brought to length 1; zeros stay zeros. In the dtype of x.
at::Tensor unit_length(const at::Tensor& x);

/// x's gradient where unit_length(x) has the gradient dy.
at::Tensor unit_length_gradient(const at::Tensor& x, const at::Tensor& dy);

}  // namespace vit22b
