#include "model/layers.h"

#include "kernels/activation.h"
#include "kernels/norm.h"

namespace vit22b {
namespace {

at::Tensor find(const NamedTensors& weights, const std::string& name) {
  const auto it = weights.find(name);
  return it == weights.end() ? at::Tensor() : it->second;
}

}  // namespace

at::Tensor linear(const NamedTensors& weights, const std::string& name, const at::Tensor& x,
                  LinearFunction function) {
  return function(x, weights.at(name + ".weight"), find(weights, name + ".bias"));
}

at::Tensor norm(const ViTConfig& config, const NamedTensors& weights, const std::string& name,
                const at::Tensor& x) {
  const at::Tensor& weight = weights.at(name + ".weight");
  if (config.norm_layer == "rmsnorm") return rms_norm(x, weight, config.norm_eps);
  return layer_norm(x, weight, find(weights, name + ".bias"), config.norm_eps);
}

at::Tensor split_heads(const at::Tensor& x_BTD, int64_t num_heads) {
  return x_BTD.unflatten(-1, {num_heads, x_BTD.size(-1) / num_heads}).transpose(1, 2);
}

at::Tensor merge_heads(const at::Tensor& x_BHTK) {
  return x_BHTK.transpose(1, 2).flatten(2);
}

at::Tensor mlp(const ViTConfig& config, const NamedTensors& weights, const std::string& prefix,
               const at::Tensor& x, LinearFunction function) {
  return linear(weights, prefix + "fc2",
                gelu(linear(weights, prefix + "fc1", x, function), config.act_layer), function);
}

}  // namespace vit22b
