#pragma once
#include <cstdint>

#include "kernels/cpu/norms.h"
#include "kernels/cpu/tile.h"

/// Softmax attention over all threads, with QK normalisation, rotation, the scale and masks inside,
/// in blocks of queries and keys: the weights [T, T] never exist as a whole.
namespace vit22b::cpu {

/// Queries [B * queries, H * K], keys and values [B * tokens, H * K], or their gradients.
struct HeadRows {
  Rows q, k, v;
};
/// The three as columns of one projection, [B * T, 3 * H * K].
inline HeadRows columns_of(const Rows& qkv, int64_t width) {
  return {qkv, qkv.at(0, width), qkv.at(0, 2 * width)};
}

/// Rotations of queries and keys by their token, [T, K]: see RotaryTables. Null: none.
struct Rotation {
  const float *cos = nullptr, *sin = nullptr;
  bool is_half = false;
};

/// Attention of B images and H heads of size K.
struct AttentionShape {
  int64_t images = 0, queries = 0, tokens = 0, heads = 0, head_size = 0;
  HeadRows rows;
  NormWeights q_norm, k_norm;        ///< over each head; weight null for none
  Rotation rotation;                 ///< of as many queries as tokens
  bool is_causal = false;            ///< a query sees the tokens up to its own place
  const int64_t* lengths = nullptr;  ///< tokens of each image that are seen, the first; null: all
  /// With kHalf the factors of every product (normalised q and k, v, softmax weights and all their
  /// gradients) are rounded to bfloat16; scores, statistics and sums stay float32.
  Arithmetic arithmetic = Arithmetic::kFloat32;
};

/// out[B * queries, H * K]; `lse` [B, H, queries] receives each row's log-sum-exp where it is not
/// null.
void attention_forward(const AttentionShape& shape, const Rows& out, float* lse);

/// Weights' gradients of the QK norms, [K] each, added to; null for none.
struct QkNormGradients {
  float *q_weight = nullptr, *q_bias = nullptr, *k_weight = nullptr, *k_bias = nullptr;
};

/// The gradients of queries, keys and values from d_out, with the forward pass's output and
/// log-sum-exp; those of tokens that nobody sees are 0.
void attention_backward(const AttentionShape& shape, const Rows& out, const float* lse,
                        const Rows& d_out, const HeadRows& gradients, const QkNormGradients& norms);

}  // namespace vit22b::cpu
