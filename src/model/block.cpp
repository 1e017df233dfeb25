#include "model/block.h"

#include "kernels/activation.h"
#include "kernels/attention.h"

namespace vit22b {
namespace {

// The fused in-projection's parts: hidden units of the MLP, then q, k and v with heads split and q,
// k normalised.
struct Projected {
  at::Tensor hidden_BTM;
  at::Tensor q_BHTK, k_BHTK, v_BHTK;
};

at::Tensor normed_heads(const Layers& l, const std::string& name, const at::Tensor& x_BTD) {
  const at::Tensor x_BHTK = split_heads(x_BTD, l.num_heads());
  return l.config().qk_norm && !name.empty() ? l.head_norm(name, x_BHTK) : x_BHTK;
}

Projected project_parallel(const Layers& l, const at::Tensor& x_BTD, at::ScalarType type) {
  const at::Tensor projected = l.rows("in_proj", l.norm("in_norm", x_BTD).to(type));
  const int64_t heads = l.num_heads() * l.config().head_dim();
  const auto parts =
      projected.split_with_sizes({projected.size(-1) - 3 * heads, heads, heads, heads}, -1);
  const at::Tensor hidden =
      l.config().qkv_bias ? parts[0] : parts[0] + l.weight("mlp_bias").to(type);
  return {hidden, normed_heads(l, "q_norm", parts[1]), normed_heads(l, "k_norm", parts[2]),
          normed_heads(l, "", parts[3])};
}

Projected project_serial(const Layers& l, const at::Tensor& x_BTD, at::ScalarType type) {
  const auto parts = l.rows("attn.qkv", l.norm("norm1", x_BTD).to(type)).chunk(3, -1);
  return {{},
          normed_heads(l, "attn.q_norm", parts[0]),
          normed_heads(l, "attn.k_norm", parts[1]),
          normed_heads(l, "", parts[2])};
}

at::Tensor parallel_block(const Layers& l, const at::Tensor& x_BTD, at::ScalarType type) {
  const Projected p = project_parallel(l, x_BTD, type);
  const at::Tensor attended = merge_heads(attention(p.q_BHTK, p.k_BHTK, p.v_BHTK));
  const at::Tensor out = l.columns("attn_out_proj", attended, "mlp_out_proj",
                                   gelu(p.hidden_BTM, l.config().act_layer));
  return x_BTD + l.scaled("ls.gamma", out);
}

at::Tensor serial_block(const Layers& l, const at::Tensor& x_BTD, at::ScalarType type) {
  const Projected p = project_serial(l, x_BTD, type);
  const at::Tensor attended =
      l.columns("attn.proj", merge_heads(attention(p.q_BHTK, p.k_BHTK, p.v_BHTK)));
  const at::Tensor middle = x_BTD + l.scaled("ls1.gamma", attended);
  return middle + l.scaled("ls2.gamma", l.mlp("mlp.", l.norm("norm2", middle).to(type)));
}

}  // namespace

at::Tensor block_forward(const Layers& layers, const at::Tensor& x_BTD,
                         at::ScalarType compute_type) {
  return layers.config().is_parallel() ? parallel_block(layers, x_BTD, compute_type)
                                       : serial_block(layers, x_BTD, compute_type);
}

QueriesKeys block_queries_keys(const Layers& layers, const at::Tensor& x_BTD) {
  const at::ScalarType type = x_BTD.scalar_type();
  const Projected p = layers.config().is_parallel() ? project_parallel(layers, x_BTD, type)
                                                    : project_serial(layers, x_BTD, type);
  return {p.q_BHTK, p.k_BHTK};
}

}  // namespace vit22b
