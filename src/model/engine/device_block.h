#pragma once
#include <ATen/core/Tensor.h>

#include <set>
#include <string>

#include "kernels/attention_pair.h"
#include "kernels/device_ops.h"
#include "model/engine/fused_block.h"

namespace vit22b::fused {

/// What the forward pass on a device keeps for the backward pass, in the compute type: q, k, v and
/// the MLP's pre-activation as the projections gave them, attention's output, and nothing of the
/// norms, the normalised heads and the activation, which are computed again.
struct SavedDeviceBlock : SavedActivations {
  bool drop_weights() override {
    weights.clear();
    return true;
  }
  void take_weights(const NamedTensors& renewed) override { weights = renewed; }

  BlockSpec block;
  at::ScalarType compute_type = at::kFloat;
  NamedTensors weights;
  at::Tensor x_BTD;
  at::Tensor middle;          ///< serial block: after the attention's residual
  at::Tensor pre_NM, qkv_NQ;  ///< parallel block: columns of one projection; Q = 3 D
  AttentionTape attention;
  at::Tensor branch1, branch2;  ///< before LayerScale, where it trains
};

/// A block's matrices in the compute type, where its weights are kept in another.
class DevicePacked : public PackedWeights {
 public:
  DevicePacked(const NamedTensors& weights, at::ScalarType compute_type);
  /// Undefined where the weight itself serves.
  at::Tensor find(const std::string& name) const;

 private:
  NamedTensors matrices_;
};

/// A tensor by name; undefined for "" or one that is not there.
at::Tensor vector_of(const NamedTensors& tensors, const std::string& name);
/// Some of a vector's values, where a linear layer's bias is a part of a wider one.
at::Tensor part(const at::Tensor& vector, int64_t first, int64_t count);

/// What both passes read of a block.
class DeviceBlock {
 public:
  /// All outlive it; `packed` may be null.
  DeviceBlock(const DeviceOps& ops, const BlockSpec& block, const NamedTensors& weights,
              const DevicePacked* packed, const at::Tensor& x_BTD, at::ScalarType compute_type);

  const BlockSpec& block() const { return block_; }
  at::ScalarType type() const { return type_; }

  at::Tensor matrix(const LinearSpec& linear) const;
  at::Tensor vector(const std::string& name) const { return vector_of(weights_, name); }
  at::Tensor bias(const LinearSpec& linear) const;
  NormSpec norm(const std::string& name) const;
  /// That norm over the residual stream's rows, in the compute type.
  at::Tensor normalised(const std::string& name, const at::Tensor& x_ND) const {
    return ops_.norm(x_ND, norm(name), type_);
  }
  QkNorms qk_norms() const { return {norm(block_.q_norm), norm(block_.k_norm)}; }
  at::Tensor apply(const LinearSpec& linear, const at::Tensor& x, const at::Tensor& bias) const;

  /// Rows of tokens as heads of a batch: [B, T, 3, H, K] and [B, T, H, K].
  at::Tensor qkv_heads(const at::Tensor& qkv_NQ) const;
  at::Tensor heads(const at::Tensor& rows_ND) const;
  QkvHeads split_heads(const at::Tensor& qkv_NQ) const;

  /// The MLP's bias where the projection did not add it already.
  at::Tensor gelu_bias() const;

 private:
  const DeviceOps& ops_;
  const BlockSpec& block_;
  const NamedTensors& weights_;
  const DevicePacked* packed_;
  const at::ScalarType type_;
  const int64_t images_, tokens_;
};

/// The block's two passes on a device's operations: two products for both projections of the
/// parallel block, none of the activations copied to join or part them.
at::Tensor device_forward(const DeviceOps& ops, const DeviceBlock& block, const at::Tensor& x_BTD,
                          SavedDeviceBlock* saved, const std::set<std::string>& trained);
at::Tensor device_backward(const DeviceOps& ops, SavedDeviceBlock& saved,
                           const at::Tensor& output_gradient_BTD, UnitGrads* grads);

}  // namespace vit22b::fused
