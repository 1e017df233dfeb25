#include "model/layers.h"

#include "dist/ring_linear.h"
#include "kernels/activation.h"

namespace vit22b {
namespace {

// The norm of a row whose features lie on several ranks: one sum (two with centring) a token.
at::Tensor norm_over_model(const Mesh& mesh, const at::Tensor& x, const at::Tensor& weight,
                           const at::Tensor& bias, const ViTConfig& config) {
  const at::Tensor values = x.to(at::kFloat);
  const auto width = static_cast<double>(config.embed_dim);
  at::Tensor centred = values;
  if (config.norm_layer == "layernorm")
    centred = values - sum_over_model(mesh, values.sum(-1, /*keepdim=*/true)) / width;
  const at::Tensor mean_square =
      sum_over_model(mesh, centred.square().sum(-1, /*keepdim=*/true)) / width;
  at::Tensor y = centred * (mean_square + config.norm_eps).rsqrt() * weight;
  if (bias.defined()) y = y + bias;
  return y.to(x.scalar_type());
}

}  // namespace

at::Tensor Layers::find(const std::string& name) const {
  const auto it = weights_.find(name);
  return it == weights_.end() ? at::Tensor() : it->second;
}

int64_t Layers::num_heads() const {
  return mesh_.share(MeshAxis::kModel, config_.num_heads).count;
}

at::Tensor Layers::with_bias(const std::string& name, const at::Tensor& y) const {
  const at::Tensor bias = find(name + ".bias");
  return bias.defined() ? y + bias.to(y.scalar_type()) : y;
}

at::Tensor Layers::rows(const std::string& name, const at::Tensor& x) const {
  if (is_alone()) return functions_.linear(x, weight(name + ".weight"), find(name + ".bias"));
  return with_bias(name, row_linear(mesh_, x, weight(name + ".weight")));
}

at::Tensor Layers::columns(const std::string& name, const at::Tensor& x) const {
  if (is_alone()) return rows(name, x);
  return with_bias(name, column_linear(mesh_, {{x, weight(name + ".weight")}}));
}

at::Tensor Layers::columns(const std::string& name1, const at::Tensor& x1, const std::string& name2,
                           const at::Tensor& x2) const {
  if (is_alone()) return rows(name1, x1) + rows(name2, x2);
  return with_bias(name2,
                   with_bias(name1, column_linear(mesh_, {{x1, weight(name1 + ".weight")},
                                                          {x2, weight(name2 + ".weight")}})));
}

at::Tensor Layers::norm(const std::string& name, const at::Tensor& x) const {
  if (is_alone()) return head_norm(name, x);
  return norm_over_model(mesh_, x, weight(name + ".weight"), find(name + ".bias"), config_);
}

at::Tensor Layers::head_norm(const std::string& name, const at::Tensor& x) const {
  const bool is_centred = config_.norm_layer == "layernorm";
  return functions_.norm(x, {.weight = weight(name + ".weight"),
                             .bias = is_centred ? find(name + ".bias") : at::Tensor(),
                             .eps = config_.norm_eps,
                             .is_centred = is_centred});
}

at::Tensor Layers::mlp(const std::string& prefix, const at::Tensor& x) const {
  return columns(prefix + "fc2", gelu(rows(prefix + "fc1", x), config_.act_layer));
}

at::Tensor Layers::scaled(const std::string& name, const at::Tensor& x) const {
  const at::Tensor scale = find(name);
  return scale.defined() ? x * scale.to(x.scalar_type()) : x;
}

at::Tensor split_heads(const at::Tensor& x_BTD, int64_t num_heads) {
  return x_BTD.unflatten(-1, {num_heads, x_BTD.size(-1) / num_heads}).transpose(1, 2);
}

at::Tensor merge_heads(const at::Tensor& x_BHTK) {
  return x_BHTK.transpose(1, 2).flatten(2);
}

}  // namespace vit22b
