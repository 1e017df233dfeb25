#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"

/// Softmax attention of one query, the same for all images: what MAP pooling does. On all threads.
namespace vit22b::cpu {

/// Attention of B images, T tokens and H heads of size K; all sums are float32.
struct QueryAttentionShape {
  int64_t images = 0, tokens = 0, heads = 0, head_size = 0;
  Rows query;        ///< [1, H * K]
  Rows keys_values;  ///< [B * T, 2 * H * K]: each row the keys, then the values
};

/// out [B, H * K]; `weights` [B, H, T] receives the softmax.
void query_attention_forward(const QueryAttentionShape& shape, float* weights, const Rows& out);

/// d_keys_values [B * T, 2 * H * K] and d_query [H * K], which is set, from d_out [B, H * K] and
/// the forward pass's weights.
void query_attention_backward(const QueryAttentionShape& shape, const float* weights,
                              const Rows& d_out, const Rows& d_keys_values, float* d_query);

}  // namespace vit22b::cpu
