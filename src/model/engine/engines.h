#pragma once
#include <memory>
#include <optional>

#include "kernels/device_ops.h"
#include "model/engine.h"

namespace vit22b {

/// The dtype of what a block computes beside its residual stream x: the engine's own, or x's.
inline at::ScalarType compute_type_for(std::optional<at::ScalarType> own, const at::Tensor& x) {
  return own.value_or(x.scalar_type());
}

/// Plain ATen, the standard that the others are held to; runs on every device.
std::unique_ptr<Engine> make_reference_engine(const Mesh& mesh,
                                              std::optional<at::ScalarType> compute_type);

/// Own kernels: on the CPU products and attention too, on other devices make_device_engine's.
std::unique_ptr<Engine> make_fused_engine(const Mesh& mesh,
                                          std::optional<at::ScalarType> compute_type);

/// The fused engine's layers outside of blocks on the CPU; elsewhere ATen's.
at::Tensor fused_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor fused_norm(const at::Tensor& x, const NormSpec& norm);
at::Tensor fused_query_attention(const at::Tensor& query_D, const at::Tensor& keys_values_BT2D,
                                 int64_t num_heads);

/// A device's fused operations between libtorch's products and attention; `ops` null takes those of
/// each tensor's device. They outlive the engine.
std::unique_ptr<Engine> make_device_engine(const DeviceOps* ops,
                                           std::optional<at::ScalarType> compute_type = {});

}  // namespace vit22b
