#pragma once
#include <cstdint>

#include "kernels/cpu/norms.h"
#include "kernels/cpu/tile.h"

/// Softmax attention over all threads, with QK normalisation and the scale inside, in blocks of
/// queries and keys: the weights [T, T] never exist as a whole.
namespace vit22b::cpu {

/// Attention of B images, T tokens and H heads of size K; q, k, v are columns of one matrix.
struct AttentionShape {
  int64_t images = 0, tokens = 0, heads = 0, head_size = 0;
  Rows qkv;                    ///< [B * T, 3 * H * K], as the projection gives it
  NormWeights q_norm, k_norm;  ///< over each head; weight null for none
  /// With kHalf the factors of every product (normalised q and k, v, softmax weights and all their
  /// gradients) are rounded to bfloat16; scores, statistics and sums stay float32.
  Arithmetic arithmetic = Arithmetic::kFloat32;
};

/// out[B * T, H * K]; `lse` [B, H, T] receives each row's log-sum-exp where it is not null.
void attention_forward(const AttentionShape& shape, const Rows& out, float* lse);

/// Weights' gradients of the QK norms, [K] each, added to; null for none.
struct QkNormGradients {
  float *q_weight = nullptr, *q_bias = nullptr, *k_weight = nullptr, *k_bias = nullptr;
};

/// d_qkv [B * T, 3 * H * K] from d_out, with the forward pass's output and log-sum-exp.
void attention_backward(const AttentionShape& shape, const Rows& out, const float* lse,
                        const Rows& d_out, const Rows& d_qkv, const QkNormGradients& norms);

}  // namespace vit22b::cpu
