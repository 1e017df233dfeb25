#pragma once
#include <ATen/ATen.h>

namespace vit22b::test {

/// Largest difference over the largest value wanted.
inline double relative_difference(const at::Tensor& got, const at::Tensor& want) {
  return ((got.to(at::kDouble) - want.to(at::kDouble)).abs().max() /
          want.to(at::kDouble).abs().max().clamp_min(1e-300))
      .item<double>();
}

/// Equal shape, dtype and bits.
inline bool is_same(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(a, b);
}

}  // namespace vit22b::test
