#include "checkpoint/export/onnx/vit.h"

namespace vit22b {
namespace {

/// The in-projection's parts, as model/block.cpp has them; gate and hidden of the parallel block.
struct OnnxProjected {
  OnnxValue gate_BTM, hidden_BTM;
  OnnxValue q_BHTK, k_BHTK, v_BHTK;
};

/// Queries or keys as attention sees them, with the norms of all heads together and of each.
OnnxValue seen_heads(const OnnxLayers& l, const BlockSpec& b, const OnnxValue& x_BTD,
                     const BlockNorm& wide, const BlockNorm& each) {
  return l.norm(each, onnx_split_heads(l.ops(), l.norm(wide, x_BTD), b.heads, b.head_size()));
}

OnnxProjected project_in(const OnnxLayers& l, const BlockSpec& b, const OnnxValue& x_BTD,
                         const OnnxRotary& rotary) {
  const OnnxValue y = l.norm(b.norm1, x_BTD);
  std::vector<OnnxValue> parts =
      b.is_parallel() ? l.ops().split(l.linear(b.in_projection(), y), b.in_sections(), -1)
                      : l.ops().split(l.linear(b.qkv, y), b.qkv_sections(), -1);
  OnnxProjected p;
  const size_t first = parts.size() - 3;  // the MLP's are before
  const auto hidden = [&](const LinearSpec& linear, size_t part) {
    // With a bias on q, k and v the projection had the MLP's too.
    return linear.bias == b.qkv.bias ? parts[part] : l.with_bias(linear, parts[part]);
  };
  if (b.is_parallel() && b.is_gated()) p.gate_BTM = hidden(b.gate, 0);
  if (b.is_parallel()) p.hidden_BTM = hidden(b.fc1, first - 1);
  const auto turned = [&](const OnnxValue& x_BHTK) {
    return onnx_rotate(l.ops(), x_BHTK, rotary, b.head_size());
  };
  p.q_BHTK = turned(seen_heads(l, b, parts[first], b.q_wide, b.q_norm));
  p.k_BHTK = turned(seen_heads(l, b, parts[first + 1], b.k_wide, b.k_norm));
  p.v_BHTK = onnx_split_heads(l.ops(), parts[first + 2], b.heads, b.head_size());
  return p;
}

OnnxValue hidden_of(const OnnxLayers& l, const BlockSpec& b, const OnnxValue& gate_BTM,
                    const OnnxValue& hidden_BTM) {
  const OnnxOps& ops = l.ops();
  const OnnxValue units = b.is_gated() ? ops.mul(ops.activate(gate_BTM, b.activation), hidden_BTM)
                                       : ops.activate(hidden_BTM, b.activation);
  return l.norm(b.mlp_norm, units);
}

/// The serial block's MLP up to its out-projection; gate and fc1 of one weight are one product.
OnnxValue serial_hidden(const OnnxLayers& l, const BlockSpec& b, const OnnxValue& y) {
  if (!b.is_gated()) return hidden_of(l, b, {}, l.linear(b.fc1, y));
  if (b.gate.weight != b.fc1.weight)
    return hidden_of(l, b, l.linear(b.gate, y), l.linear(b.fc1, y));
  const std::vector<OnnxValue> parts =
      l.ops().split(l.linear(b.hidden_projection(), y), b.hidden_sections(), -1);
  return hidden_of(l, b, parts[0], parts[1]);
}

}  // namespace

OnnxValue onnx_block(const OnnxLayers& l, const BlockSpec& b, const OnnxValue& x_BTD,
                     const OnnxRotary& rotary) {
  const OnnxOps& ops = l.ops();
  const OnnxProjected p = project_in(l, b, x_BTD, rotary);
  const OnnxValue attended =
      l.norm(b.attn_norm,
             onnx_merge_heads(ops, onnx_attention(ops, p.q_BHTK, p.k_BHTK, p.v_BHTK, b.head_size()),
                              b.width));
  const OnnxValue projected = l.linear(b.proj, attended);
  if (b.is_parallel()) {
    const OnnxValue units = hidden_of(l, b, p.gate_BTM, p.hidden_BTM);
    return ops.add(x_BTD, l.scaled(b.scale2, ops.add(projected, l.linear(b.fc2, units))));
  }
  const OnnxValue middle = ops.add(x_BTD, l.scaled(b.scale1, l.norm(b.out_norm1, projected)));
  const OnnxValue units = serial_hidden(l, b, l.norm(b.norm2, middle));
  return ops.add(middle, l.scaled(b.scale2, l.norm(b.out_norm2, l.linear(b.fc2, units))));
}

}  // namespace vit22b
