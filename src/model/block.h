#pragma once
#include <ATen/core/Tensor.h>

#include "model/block_spec.h"
#include "model/layers.h"
#include "model/sequence.h"

namespace vit22b {

/// One block of the encoder as plain ATen: the reference that every faster engine is held to.
///
/// Parallel (ViT-22B): y = norm(x); x + W_out [attention(q, k, v), gelu(u + b)] + b_out with [u, q,
/// k, v] = W_in y. Serial (ViT): x += attention(norm1(x)); x += mlp(norm2(x)), each scaled by
/// LayerScale where the model has one. On a model axis a rank has its features of x, its heads and
/// its hidden units; each in-projection gathers, each out-projection scatters.
///
/// x_BTD         the residual stream, float32 or bfloat16
/// compute_type  of products and activations; norms and softmax statistics are float32
/// returns       [B, T, D], dtype of x
/// source        arXiv 2302.05442 section 2; timm ParallelScalingBlock and Block
at::Tensor block_forward(const Layers& layers, const at::Tensor& x_BTD, const Sequence& sequence,
                         at::ScalarType compute_type);

/// Queries and keys of a block's heads (this rank's) as attention sees them, each [B, H, T, K].
struct QueriesKeys {
  at::Tensor q_BHTK;
  at::Tensor k_BHTK;
};
QueriesKeys block_queries_keys(const Layers& layers, const at::Tensor& x_BTD,
                               const Sequence& sequence);

}  // namespace vit22b
