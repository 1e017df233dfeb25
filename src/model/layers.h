#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "model/block_spec.h"
#include "model/engine.h"
#include "model/weight_store.h"

namespace vit22b {

/// The layers that units are made of, on this rank's part of the model: heads, hidden units and the
/// residual stream's features are shared out over the mesh's model axis, tokens are not. Weights
/// are looked up by local name. In one process all of this is plain.
class Layers {
 public:
  /// All outlive it.
  Layers(const BlockSpec& block, const NamedTensors& weights, const Mesh& mesh,
         const LayerFunctions& functions = {})
      : block_(block), weights_(weights), mesh_(mesh), functions_(functions) {}

  const BlockSpec& block() const { return block_; }
  const at::Tensor& weight(const std::string& name) const { return weights_.at(name); }
  /// Undefined where the unit has none of that name.
  at::Tensor find(const std::string& name) const;
  /// Heads of this rank.
  int64_t num_heads() const { return block_.heads; }

  /// x W^T + b with outputs shared out: x[..., D / k] → [..., rows of this rank]. A bias that is
  /// absent is not added.
  at::Tensor rows(const std::string& name, const at::Tensor& x) const;
  /// The same for an input of two halves, each of which is shared out.
  at::Tensor rows_of_halves(const std::string& name, const at::Tensor& x) const;
  /// The same for an input that every rank has whole.
  at::Tensor rows_of_whole(const at::Tensor& weight, const at::Tensor& bias,
                           const at::Tensor& x) const {
    return functions_.linear(x, weight, bias);
  }
  /// x W^T + b with inputs shared out: x[..., columns of this rank] → [..., D / k]. Two layers
  /// whose outputs add are one message.
  at::Tensor columns(const std::string& name, const at::Tensor& x) const;
  at::Tensor columns(const LinearSpec& linear1, const at::Tensor& x1, const LinearSpec& linear2,
                     const at::Tensor& x2) const;
  /// The same two for a block's layers, whose rows may be some of a weight's.
  at::Tensor rows(const LinearSpec& linear, const at::Tensor& x) const;
  at::Tensor columns(const LinearSpec& linear, const at::Tensor& x) const;

  /// A norm over the features, of which x has this rank's.
  at::Tensor norm(const BlockNorm& norm, const at::Tensor& x) const;
  /// The same of the blocks' form, by name.
  at::Tensor norm(const std::string& name, const at::Tensor& x) const {
    return norm(BlockNorm{name, block_.form, block_.whole_width}, x);
  }
  /// A norm over the last dim of x, which is whole.
  at::Tensor head_norm(const BlockNorm& norm, const at::Tensor& x) const;
  /// A block layer's bias; undefined for none.
  at::Tensor bias(const LinearSpec& linear) const;
  /// fc2(activation(fc1(x))) with weights PREFIXfc1 and PREFIXfc2.
  at::Tensor mlp(const std::string& prefix, const at::Tensor& x, Activation activation) const;
  /// Attention of one query of as many heads: see QueryAttentionFunction.
  at::Tensor query_attention(const at::Tensor& query_D, const at::Tensor& keys_values_BT2D,
                             int64_t heads) const {
    return functions_.query_attention(query_D, keys_values_BT2D, heads);
  }
  /// This rank's share of something that is cut over the model axis.
  Share own_share(int64_t size) const { return mesh_.share(MeshAxis::kModel, size); }
  /// LayerScale; x itself where the unit has none of that name.
  at::Tensor scaled(const std::string& name, const at::Tensor& x) const;

 private:
  NormSpec values_of(const BlockNorm& norm) const;
  /// A layer's rows on the images of each member, with its fast weights.
  at::Tensor of_members(const LinearSpec& linear, const at::Tensor& weight,
                        const at::Tensor& x) const;
  at::Tensor with_adapter(const LinearSpec& linear, const at::Tensor& x, const at::Tensor& y) const;
  bool is_alone() const { return mesh_.size(MeshAxis::kModel) == 1; }
  at::Tensor with_bias(const LinearSpec& linear, const at::Tensor& y) const;

  const BlockSpec& block_;
  const NamedTensors& weights_;
  const Mesh& mesh_;
  LayerFunctions functions_;
};

/// [B, T, D] as [B, H, T, K].
at::Tensor split_heads(const at::Tensor& x_BTD, int64_t num_heads);

/// [B, H, T, K] as [B, T, D].
at::Tensor merge_heads(const at::Tensor& x_BHTK);

}  // namespace vit22b
