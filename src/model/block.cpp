#include "model/block.h"

#include "kernels/activation.h"
#include "kernels/attention.h"

namespace vit22b {
namespace {

// The in-projection's parts: of the parallel block the MLP's, then q, k and v with heads split and
// q, k normalised.
struct Projected {
  at::Tensor gate_BTM, hidden_BTM;
  at::Tensor q_BHTK, k_BHTK, v_BHTK;
};

at::Tensor normed(const Layers& l, const BlockNorm& norm, const at::Tensor& x) {
  return norm.exists() ? l.norm(norm, x) : x;
}

at::Tensor normed_heads(const Layers& l, const BlockNorm& norm, const at::Tensor& x_BTD) {
  const at::Tensor x_BHTK = split_heads(x_BTD, l.num_heads());
  return norm.exists() ? l.head_norm(norm, x_BHTK) : x_BHTK;
}

// The first projection's sections. Members' vectors are of the MLP's rows alone.
std::vector<at::Tensor> in_parts(const Layers& l, const at::Tensor& y) {
  const BlockSpec& b = l.block();
  if (b.is_parallel() && !b.has_members())
    return l.rows(b.in_projection(), y).split_with_sizes(b.in_sections(), -1);
  std::vector<at::Tensor> parts = l.rows(b.qkv, y).split_with_sizes(b.qkv_sections(), -1);
  if (!b.is_parallel()) return parts;
  parts.insert(parts.begin(), l.rows(b.fc1, y));
  if (b.is_gated()) parts.insert(parts.begin(), l.rows(b.gate, y));
  return parts;
}

Projected project(const Layers& l, const at::Tensor& x_BTD, const Sequence& sequence,
                  at::ScalarType type) {
  const BlockSpec& b = l.block();
  const at::Tensor y = normed(l, b.norm1, x_BTD).to(type);
  std::vector<at::Tensor> parts = in_parts(l, y);
  Projected p;
  const auto take_hidden = [&](const LinearSpec& linear) {
    const at::Tensor x = parts.front();
    parts.erase(parts.begin());
    // With a bias on q, k and v the projection had the MLP's too, and members' layers have theirs.
    const bool has_bias = linear.bias == b.qkv.bias || linear.fast.exists();
    return has_bias ? x : x + l.bias(linear).to(type);
  };
  if (b.is_parallel() && b.is_gated()) p.gate_BTM = take_hidden(b.gate);
  if (b.is_parallel()) p.hidden_BTM = take_hidden(b.fc1);
  p.q_BHTK = rotate(normed_heads(l, b.q_norm, normed(l, b.q_wide, parts[0])), sequence.rotary, 2);
  p.k_BHTK = rotate(normed_heads(l, b.k_norm, normed(l, b.k_wide, parts[1])), sequence.rotary, 2);
  p.v_BHTK = normed_heads(l, {}, parts[2]);
  return p;
}

at::Tensor hidden_units(const Layers& l, const at::Tensor& gate_BTM, const at::Tensor& hidden_BTM) {
  const BlockSpec& b = l.block();
  const at::Tensor units = b.is_gated() ? activate(gate_BTM, b.activation) * hidden_BTM
                                        : activate(hidden_BTM, b.activation);
  return normed(l, b.mlp_norm, units);
}

}  // namespace

at::Tensor block_forward(const Layers& l, const at::Tensor& x_BTD, const Sequence& sequence,
                         at::ScalarType type) {
  const BlockSpec& b = l.block();
  const Projected p = project(l, x_BTD, sequence, type);
  const at::Tensor attended =
      normed(l, b.attn_norm, merge_heads(attention(p.q_BHTK, p.k_BHTK, p.v_BHTK, sequence.mask)));
  if (b.is_parallel())
    return x_BTD + l.scaled(b.scale2, l.columns(b.proj, attended, b.fc2,
                                                hidden_units(l, p.gate_BTM, p.hidden_BTM)));
  const at::Tensor middle =
      x_BTD + l.scaled(b.scale1, normed(l, b.out_norm1, l.columns(b.proj, attended)));
  const at::Tensor y = normed(l, b.norm2, middle).to(type);
  const at::Tensor gate = b.is_gated() ? l.rows(b.gate, y) : at::Tensor();
  const at::Tensor units = hidden_units(l, gate, l.rows(b.fc1, y));
  return middle + l.scaled(b.scale2, normed(l, b.out_norm2, l.columns(b.fc2, units)));
}

QueriesKeys block_queries_keys(const Layers& layers, const at::Tensor& x_BTD,
                               const Sequence& sequence) {
  const Projected p = project(layers, x_BTD, sequence, x_BTD.scalar_type());
  return {p.q_BHTK, p.k_BHTK};
}

}  // namespace vit22b
