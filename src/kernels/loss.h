#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Sigmoid cross-entropy: for each image -sum_c [y log s(z) + (1-y) log s(-z)].
///
/// logits_BC   any float dtype; computed in float32
/// targets_BC  multi-hot or soft targets in [0, 1]
/// returns     [B] float32
/// source      big_vision utils.py sigmoid_xent
at::Tensor sigmoid_cross_entropy(const at::Tensor& logits_BC, const at::Tensor& targets_BC);

/// Softmax cross-entropy against soft targets whose rows sum to 1.
///
/// returns  [B] float32
at::Tensor softmax_cross_entropy(const at::Tensor& logits_BC, const at::Tensor& targets_BC);

}  // namespace vit22b
