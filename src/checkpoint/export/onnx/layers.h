#pragma once
#include <string>

#include "checkpoint/export/onnx/ops.h"
#include "checkpoint/export/onnx/weights.h"
#include "model/block_spec.h"

namespace vit22b {

/// The layers that units are made of, as nodes: what Layers of model/layers.h computes of one
/// process. Weights are looked up by local name behind the unit's prefix.
class OnnxLayers {
 public:
  /// The weights and their graph outlive it.
  ///
  /// form  of the norms that have no BlockNorm of their own
  OnnxLayers(OnnxOps ops, OnnxWeights& weights, std::string prefix, NormForm form)
      : ops_(ops), weights_(weights), prefix_(std::move(prefix)), form_(form) {}

  const OnnxOps& ops() const { return ops_; }
  OnnxWeights& weights() const { return weights_; }
  bool has(const std::string& name) const { return weights_.has(prefix_ + name); }
  const ParameterRow& row(const std::string& name) const { return weights_.row(prefix_ + name); }
  OnnxValue weight(const std::string& name) const { return weights_.plain(prefix_ + name); }
  OnnxValue shaped(const std::string& name, const std::vector<int64_t>& shape) const {
    return weights_.elements(prefix_ + name, 0, shape);
  }

  /// x Wᵀ + b; a bias that is absent is not added.
  OnnxValue linear(const std::string& name, const OnnxValue& x) const;
  /// The same of rows of a weight.
  OnnxValue linear(const LinearSpec& linear, const OnnxValue& x) const;
  /// A layer's bias added, where it has one.
  OnnxValue with_bias(const LinearSpec& linear, const OnnxValue& y) const;
  /// A norm over the last dim; x itself where there is none.
  OnnxValue norm(const BlockNorm& norm, const OnnxValue& x) const;
  OnnxValue norm(const std::string& name, const OnnxValue& x) const {
    return norm(BlockNorm{name, form_}, x);
  }
  /// LayerScale; x itself where the unit has none of that name.
  OnnxValue scaled(const std::string& name, const OnnxValue& x) const;
  /// fc2(activation(fc1(x))) with weights PREFIXfc1 and PREFIXfc2.
  OnnxValue mlp(const std::string& prefix, const OnnxValue& x, Activation activation) const;

 private:
  OnnxOps ops_;
  OnnxWeights& weights_;
  std::string prefix_;
  NormForm form_;
};

/// A norm over the last dim, of a width, without a scale of its own where that has no name.
OnnxValue onnx_norm(const OnnxOps& ops, const NormForm& form, const OnnxValue& x,
                    const OnnxValue& scale, const OnnxValue& bias);

/// [B, T, D] → [B, H, T, K].
OnnxValue onnx_split_heads(const OnnxOps& ops, const OnnxValue& x_BTD, int64_t heads,
                           int64_t head_size);
/// [B, H, T, K] → [B, T, D].
OnnxValue onnx_merge_heads(const OnnxOps& ops, const OnnxValue& x_BHTK, int64_t width);
/// softmax(q kᵀ / sqrt(K)) v.
OnnxValue onnx_attention(const OnnxOps& ops, const OnnxValue& q_BHTK, const OnnxValue& k_BHTK,
                         const OnnxValue& v_BHTK, int64_t head_size);

}  // namespace vit22b
