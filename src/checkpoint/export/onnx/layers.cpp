#include "checkpoint/export/onnx/layers.h"

#include <cmath>

namespace vit22b {

OnnxValue OnnxLayers::linear(const std::string& name, const OnnxValue& x) const {
  LinearSpec spec{.weight = name + ".weight"};
  if (has(name + ".bias")) spec.bias = name + ".bias";
  return linear(spec, x);
}

OnnxValue OnnxLayers::linear(const LinearSpec& spec, const OnnxValue& x) const {
  const std::string name = prefix_ + spec.weight;
  const int64_t count = spec.out > 0 ? spec.out : -1;
  return with_bias(spec, ops_.matmul(x, weights_.transposed(name, {spec.first_row, count})));
}

OnnxValue OnnxLayers::with_bias(const LinearSpec& spec, const OnnxValue& y) const {
  if (spec.bias.empty()) return y;
  const int64_t count = spec.out > 0 ? spec.out : -1;
  return ops_.add(y, weights_.plain(prefix_ + spec.bias, {spec.bias_first, count}));
}

OnnxValue OnnxLayers::norm(const BlockNorm& norm, const OnnxValue& x) const {
  if (!norm.exists()) return x;
  const OnnxValue scale = weight(norm.name + ".weight");
  return onnx_norm(ops_, norm.form, x, scale,
                   norm.form.has_bias ? weight(norm.name + ".bias") : OnnxValue());
}

OnnxValue OnnxLayers::scaled(const std::string& name, const OnnxValue& x) const {
  return !name.empty() && has(name) ? ops_.mul(x, weight(name)) : x;
}

OnnxValue OnnxLayers::mlp(const std::string& prefix, const OnnxValue& x,
                          Activation activation) const {
  return linear(prefix + "fc2", ops_.activate(linear(prefix + "fc1", x), activation));
}

OnnxValue onnx_norm(const OnnxOps& ops, const NormForm& form, const OnnxValue& x,
                    const OnnxValue& scale, const OnnxValue& bias) {
  if (form.is_centred) {
    std::vector<OnnxValue> inputs = {x, scale};
    if (!bias.name.empty()) inputs.push_back(bias);
    return ops.graph().add("LayerNormalization", inputs, {{"axis", -1}, {"epsilon", form.eps}});
  }
  // RMSNormalization came with operators 23.
  const OnnxValue square = ops.mean(ops.of("Pow", x, ops.real(2)), -1, /*keeps_dim=*/true);
  return ops.mul(ops.div(x, ops.of("Sqrt", ops.shifted(square, form.eps))), scale);
}

OnnxValue onnx_split_heads(const OnnxOps& ops, const OnnxValue& x_BTD, int64_t heads,
                           int64_t head_size) {
  return ops.transpose(ops.reshape(x_BTD, {0, 0, heads, head_size}), {0, 2, 1, 3});
}

OnnxValue onnx_merge_heads(const OnnxOps& ops, const OnnxValue& x_BHTK, int64_t width) {
  return ops.reshape(ops.transpose(x_BHTK, {0, 2, 1, 3}), {0, 0, width});
}

OnnxValue onnx_attention(const OnnxOps& ops, const OnnxValue& q_BHTK, const OnnxValue& k_BHTK,
                         const OnnxValue& v_BHTK, int64_t head_size) {
  const OnnxValue q = ops.scaled(q_BHTK, 1 / std::sqrt(static_cast<double>(head_size)));
  const OnnxValue logits = ops.matmul(q, ops.transpose(k_BHTK, {0, 1, 3, 2}));
  return ops.matmul(ops.softmax(logits), v_BHTK);
}

}  // namespace vit22b
