#include "model/block_spec.h"

#include "kernels/activation.h"

namespace vit22b {
namespace {

void name_parallel(BlockSpec& b, const ViTConfig& c) {
  b.norm1.name = b.norm2.name = "in_norm";
  // With biases on q, k and v the MLP's lie before them in one vector.
  const std::string in_bias = c.attention.qkv_bias ? "in_proj.bias" : "";
  b.fc1 = {"in_proj.weight", c.attention.qkv_bias ? in_bias : "mlp_bias", 0, 0, b.hidden,
           b.whole_width};
  b.qkv = {"in_proj.weight", in_bias, b.hidden, b.hidden, 3 * b.width, b.whole_width};
  b.proj = {"attn_out_proj.weight", "", 0, 0, b.whole_width, b.width};
  b.fc2 = {"mlp_out_proj.weight", "mlp_out_proj.bias", 0, 0, b.whole_width, b.hidden};
  if (c.init_values > 0) b.scale2 = "ls.gamma";
}

void name_serial(BlockSpec& b, const ViTConfig& c) {
  b.norm1.name = "norm1";
  b.norm2.name = "norm2";
  b.qkv = {"attn.qkv.weight", c.attention.qkv_bias ? "attn.qkv.bias" : "", 0, 0, 3 * b.width,
           b.whole_width};
  b.proj = {"attn.proj.weight", "attn.proj.bias", 0, 0, b.whole_width, b.width};
  b.fc1 = {"mlp.fc1.weight", "mlp.fc1.bias", 0, 0, b.hidden, b.whole_width};
  b.fc2 = {"mlp.fc2.weight", "mlp.fc2.bias", 0, 0, b.whole_width, b.hidden};
  if (c.init_values > 0) {
    b.scale1 = "ls1.gamma";
    b.scale2 = "ls2.gamma";
  }
}

}  // namespace

NormForm norm_form(const ViTConfig& config) {
  const bool is_layer_norm = config.norm.norm_layer == "layernorm";
  return {.is_centred = is_layer_norm, .has_bias = is_layer_norm, .eps = config.norm.norm_eps};
}

LinearSpec BlockSpec::in_projection() const {
  return {fc1.weight, qkv.bias, 0, 0, gate.out + fc1.out + qkv.out, qkv.in};
}

LinearSpec BlockSpec::hidden_projection() const {
  return {fc1.weight, fc1.bias, 0, 0, gate.out + fc1.out, fc1.in};
}

std::vector<int64_t> BlockSpec::hidden_sections() const {
  return std::vector<int64_t>(is_gated() ? 2 : 1, hidden);
}

std::vector<int64_t> BlockSpec::in_sections() const {
  std::vector<int64_t> sections = hidden_sections();
  sections.insert(sections.end(), 3, width);
  return sections;
}

BlockSpec block_spec(const ViTConfig& c, const Mesh& mesh) {
  c.validate();
  BlockSpec b{.arrangement = c.is_parallel() ? Arrangement::kParallel : Arrangement::kSerial,
              .width = mesh.share(MeshAxis::kModel, c.embed_dim).count,
              .whole_width = c.embed_dim,
              .hidden = mesh.share(MeshAxis::kModel, c.mlp_dim()).count,
              .heads = mesh.share(MeshAxis::kModel, c.num_heads).count,
              .activation = parse_activation(c.mlp.act_layer),
              .first_scale = c.init_values};
  for (BlockNorm* norm : {&b.norm1, &b.norm2, &b.q_norm, &b.k_norm}) norm->form = norm_form(c);
  b.is_parallel() ? name_parallel(b, c) : name_serial(b, c);
  if (c.attention.qk_norm) {
    const std::string attention = b.is_parallel() ? "" : "attn.";
    b.q_norm.name = attention + "q_norm";
    b.k_norm.name = attention + "k_norm";
  }
  return b;
}

}  // namespace vit22b
