#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/attention_mask.h"

namespace vit22b {

/// Scaled dot-product attention, softmax(q k^T / sqrt(K)) v, with softmax statistics in float32.
///
/// q_BHTK, k_BHTK, v_BHTK  one dtype; T of q may differ from T of k and v
/// returns                 [B, H, T of q, K]
/// throws                  as AttentionMask::check
at::Tensor attention(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK, const at::Tensor& v_BHTK,
                     const AttentionMask& mask = {});

/// The same heads [B, H, T, K] where libtorch's GPU kernels may read them: they take 16 bytes at a
/// time wherever a tensor begins, and do not check its address. A copy where they could not.
at::Tensor aligned_heads(const at::Tensor& x_BHTK);

/// The paper's instability signals of one attention (arXiv 2302.05442 App. B).
struct AttentionSignals {
  double max_logit = 0;  ///< largest |q k^T / sqrt(K)|
  double entropy =
      0;  ///< mean over images, heads and queries of -sum p ln p, in nats; ln T at most
};

/// Attention weights with an explicit softmax, for pictures and signals.
///
/// returns  [B, H, T of q, T of k] float32, rows sum to 1
at::Tensor attention_weights(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK);

/// How each head of each image looks, both [B, H] float64, in nats, ln T at most.
struct HeadAttention {
  at::Tensor entropy_BH;  ///< mean over queries of -sum p ln p
  /// How much it depends on the query where a head looks: the entropy of the mean of p over the
  /// queries less `entropy_BH`. 0 where every query gets the same.
  at::Tensor information_BH;
};

/// Some heads and queries at a time, as attention_signals.
HeadAttention attention_by_head(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK);

/// The signals of one attention, some heads and queries at a time: of any number of tokens in a few
/// MiB. Waits for the device: call it at a cadence.
AttentionSignals attention_signals(const at::Tensor& q_BHTK, const at::Tensor& k_BHTK);

}  // namespace vit22b
