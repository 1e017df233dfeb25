#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/attention_mask.h"
#include "kernels/device_ops.h"

namespace vit22b {

/// Which of libtorch's kernels compute an attention.
enum class AttentionForm { kCpu, kFlash, kCudnn, kEfficient, kExplicit };

/// What a forward attention keeps beside q, k and v for its backward pass.
struct AttentionTape {
  AttentionForm form = AttentionForm::kExplicit;
  at::Tensor out_BTHK;
  at::Tensor statistics;    ///< log-sum-exp of each row, or the weights where they were explicit
  at::Tensor seed, offset;  ///< libtorch's, of a dropout that is 0
};

/// Softmax attention and its derivative by libtorch's kernels, without its autograd: the flash form
/// on the CPU and for bfloat16 on a GPU (cuDNN's on Hopper and later), the memory-efficient form
/// for float32 there, and explicit weights for heads that these do not take and for lengths.
///
/// heads    q, k, v [B, T, H, K], one dtype, K dense; T of q may differ from T of k and v
/// tape     receives what attention_pair_backward needs; null for inference
/// returns  [B, T of q, H, K], contiguous
/// throws   as AttentionMask::check
at::Tensor attention_pair_forward(const QkvHeads& heads, const AttentionMask& mask,
                                  AttentionTape* tape);

/// Gradients of q, k and v, [B, T, H, K] each.
QkvHeads attention_pair_backward(const QkvHeads& heads, const AttentionMask& mask,
                                 const AttentionTape& tape, const at::Tensor& d_out_BTHK);

}  // namespace vit22b
