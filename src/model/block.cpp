#include "model/block.h"

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "model/layers.h"

namespace vit22b {
namespace {

// The fused in-projection's parts: hidden units of the MLP, then q, k and v with heads split and q,
// k normalised.
struct Projected {
  at::Tensor hidden_BTM;
  at::Tensor q_BHTK, k_BHTK, v_BHTK;
};

at::Tensor normed_heads(const ViTConfig& c, const NamedTensors& w, const std::string& name,
                        const at::Tensor& x_BTD) {
  const at::Tensor x_BHTK = split_heads(x_BTD, c.num_heads);
  return c.qk_norm && !name.empty() ? norm(c, w, name, x_BHTK) : x_BHTK;
}

Projected project_parallel(const ViTConfig& c, const NamedTensors& w, const at::Tensor& x_BTD) {
  const at::Tensor projected = linear(w, "in_proj", norm(c, w, "in_norm", x_BTD));
  const auto parts =
      projected.split_with_sizes({c.mlp_dim(), c.embed_dim, c.embed_dim, c.embed_dim}, -1);
  const at::Tensor hidden =
      c.qkv_bias ? parts[0] : parts[0] + w.at("mlp_bias").to(x_BTD.scalar_type());
  return {hidden, normed_heads(c, w, "q_norm", parts[1]), normed_heads(c, w, "k_norm", parts[2]),
          normed_heads(c, w, "", parts[3])};
}

Projected project_serial(const ViTConfig& c, const NamedTensors& w, const at::Tensor& x_BTD) {
  const auto parts = linear(w, "attn.qkv", norm(c, w, "norm1", x_BTD)).chunk(3, -1);
  return {{},
          normed_heads(c, w, "attn.q_norm", parts[0]),
          normed_heads(c, w, "attn.k_norm", parts[1]),
          normed_heads(c, w, "", parts[2])};
}

at::Tensor layer_scaled(const NamedTensors& w, const std::string& name, const at::Tensor& x) {
  const auto it = w.find(name);
  return it == w.end() ? x : x * it->second.to(x.scalar_type());
}

at::Tensor parallel_block(const ViTConfig& c, const NamedTensors& w, const at::Tensor& x_BTD) {
  const Projected p = project_parallel(c, w, x_BTD);
  const at::Tensor attended = merge_heads(attention(p.q_BHTK, p.k_BHTK, p.v_BHTK));
  const at::Tensor out = linear(w, "attn_out_proj", attended) +
                         linear(w, "mlp_out_proj", gelu(p.hidden_BTM, c.act_layer));
  return x_BTD + layer_scaled(w, "ls.gamma", out);
}

at::Tensor serial_block(const ViTConfig& c, const NamedTensors& w, const at::Tensor& x_BTD) {
  const Projected p = project_serial(c, w, x_BTD);
  const at::Tensor attended =
      linear(w, "attn.proj", merge_heads(attention(p.q_BHTK, p.k_BHTK, p.v_BHTK)));
  const at::Tensor middle = x_BTD + layer_scaled(w, "ls1.gamma", attended);
  return middle + layer_scaled(w, "ls2.gamma", mlp(c, w, "mlp.", norm(c, w, "norm2", middle)));
}

}  // namespace

at::Tensor block_forward(const ViTConfig& config, const NamedTensors& weights,
                         const at::Tensor& x_BTD) {
  return config.is_parallel() ? parallel_block(config, weights, x_BTD)
                              : serial_block(config, weights, x_BTD);
}

QueriesKeys block_queries_keys(const ViTConfig& config, const NamedTensors& weights,
                               const at::Tensor& x_BTD) {
  const Projected p = config.is_parallel() ? project_parallel(config, weights, x_BTD)
                                           : project_serial(config, weights, x_BTD);
  return {p.q_BHTK, p.k_BHTK};
}

}  // namespace vit22b
