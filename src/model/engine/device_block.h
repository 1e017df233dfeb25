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
  const ViTConfig* config = nullptr;
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

/// The block's two passes on a device's operations: two products for both projections of the
/// parallel block, none of the activations copied to join or part them.
at::Tensor device_forward(const DeviceOps& ops, const ViTConfig& config,
                          const NamedTensors& weights, const DevicePacked* packed,
                          const at::Tensor& x_BTD, SavedDeviceBlock* saved,
                          const std::set<std::string>& trained);
at::Tensor device_backward(const DeviceOps& ops, SavedDeviceBlock& saved,
                           const at::Tensor& output_gradient_BTD, UnitGrads* grads);

}  // namespace vit22b::fused
