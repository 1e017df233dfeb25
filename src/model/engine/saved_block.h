#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "dist/ring.h"
#include "kernels/attention_pair.h"
#include "model/block_spec.h"
#include "model/sequence.h"
#include "model/unit_graph.h"
#include "model/weight_store.h"

namespace vit22b::fused {

/// What a norm's backward pass needs on a model axis, where a row lies on several ranks.
struct SavedNorm {
  std::vector<RingBlock> gathered;  ///< every rank's normalised features
  at::Tensor centred_ND, rstd_N1;   ///< float32
};

/// What the forward pass keeps for the backward pass; [B * T, ...] in the compute type, but for the
/// residual stream's x and middle. Norms, normalised heads and the activation are computed again.
struct SavedBlock : SavedActivations {
  bool drop_weights() override {
    weights.clear();
    return true;
  }
  void take_weights(const NamedTensors& renewed) override { weights = renewed; }

  BlockSpec block;
  Sequence sequence;
  at::ScalarType compute_type = at::kFloat;
  NamedTensors weights;
  SavedNorm norm1, norm2;  ///< on a model axis
  at::Tensor x_BTD;
  at::Tensor middle;            ///< serial block: after the attention's residual
  at::Tensor gate;              ///< [B * T, M], of a gated MLP
  at::Tensor pre_activation;    ///< [B * T, M]
  at::Tensor hidden;            ///< [B * T, M], where a norm follows
  at::Tensor qkv;               ///< [B * T, 3 D], before QK normalisation
  at::Tensor attended;          ///< [B * T, D]
  AttentionTape attention;      ///< on the CPU log-sum-exps alone, [B, H, T] float32
  at::Tensor branch1, branch2;  ///< before LayerScale, where it trains, or a norm
};

}  // namespace vit22b::fused
