#pragma once
#include <ATen/ATen.h>

#include <cstring>

#include "core/error.h"

// What the targets that write what they read compare: weights, and the state beside them.

namespace vit22b::fuzz {

/// Whether two tensors are of the same numbers, NaN where the other has NaN: weights, of which a
/// sum with zeros may turn -0 into 0.
inline bool has_same_numbers(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && ((a == b) | ((a != a) & (b != b))).all().item<bool>();
}

/// Whether two tensors are alike to the byte.
inline bool has_same_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.dtype() != b.dtype()) return false;
  if (a.numel() == 0) return true;
  return std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(),
                     a.nbytes()) == 0;
}

/// Checks that a checkpoint's tensors are what they were.
template <class Tensors, class IsSame>
void check_same(const Tensors& then, const Tensors& now, IsSame is_same) {
  VIT22B_CHECK(then.size() == now.size(), "another number of tensors");
  for (const auto& [name, tensor] : then)
    VIT22B_CHECK(is_same(tensor, now.at(name)), name, " changes where it is written again");
}

}  // namespace vit22b::fuzz
