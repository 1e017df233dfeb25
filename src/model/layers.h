#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "model/config.h"
#include "model/engine.h"
#include "model/weight_store.h"

namespace vit22b {

/// The small functions that blocks, pooling and heads share; weights are looked up by local name.

/// x W^T + b in the dtype of x; a name whose bias is absent adds none.
at::Tensor linear(const NamedTensors& weights, const std::string& name, const at::Tensor& x,
                  LinearFunction function = plain_linear);

/// The model's norm (RMSNorm or LayerNorm) with the weights NAME.weight and NAME.bias.
at::Tensor norm(const ViTConfig& config, const NamedTensors& weights, const std::string& name,
                const at::Tensor& x);

/// [B, T, D] as [B, H, T, K].
at::Tensor split_heads(const at::Tensor& x_BTD, int64_t num_heads);

/// [B, H, T, K] as [B, T, D].
at::Tensor merge_heads(const at::Tensor& x_BHTK);

/// fc2(gelu(fc1(x))) with weights PREFIXfc1 and PREFIXfc2.
at::Tensor mlp(const ViTConfig& config, const NamedTensors& weights, const std::string& prefix,
               const at::Tensor& x, LinearFunction function = plain_linear);

}  // namespace vit22b
