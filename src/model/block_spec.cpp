#include "model/block_spec.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "kernels/activation.h"
#include "model/model_cut.h"

namespace vit22b {
namespace {

// As PEFT's target_modules: a layer's name or the end of it, or a pattern.
bool is_layer(const std::string& name, const std::string& target) {
  return matches_pattern(name, target) || name.ends_with("." + target);
}

void name_parallel(BlockSpec& b, const ViTConfig& c) {
  const bool has_bias = c.attention.proj_bias;
  // With biases on q, k and v the MLP's lie before them in one vector.
  const std::string in_bias = c.attention.qkv_bias ? "in_proj.bias" : "";
  b.fc1 = {
      "in_proj.weight", c.attention.qkv_bias ? in_bias : has_bias ? "mlp_bias" : "", 0, 0, b.hidden,
      b.whole_width};
  b.qkv = {"in_proj.weight", in_bias, b.hidden, b.hidden, 3 * b.width, b.whole_width};
  b.proj = {"attn_out_proj.weight", "", 0, 0, b.whole_width, b.width};
  b.fc2 = {
      "mlp_out_proj.weight", has_bias ? "mlp_out_proj.bias" : "", 0, 0, b.whole_width, b.hidden};
  if (c.init_values > 0) b.scale2 = "ls.gamma";
}

// The gate's rows go before fc1's, and all others move behind them.
void add_gate(BlockSpec& b) {
  b.gate = b.fc1;
  const bool has_qkv_bias_there = b.is_parallel() && b.qkv.bias == b.fc1.bias;
  b.fc1.first_row += b.hidden;
  b.fc1.bias_first += b.hidden;
  if (b.is_parallel()) b.qkv.first_row += b.hidden;
  if (has_qkv_bias_there) b.qkv.bias_first += b.hidden;
}

void name_serial(BlockSpec& b, const ViTConfig& c) {
  const auto bias = [](bool is_there, const char* name) -> std::string {
    return is_there ? name : "";
  };
  const bool has_bias = c.attention.proj_bias;
  b.qkv = {"attn.qkv.weight", bias(c.attention.qkv_bias, "attn.qkv.bias"), 0, 0, 3 * b.width,
           b.whole_width};
  b.proj = {"attn.proj.weight", bias(has_bias, "attn.proj.bias"), 0, 0, b.whole_width, b.width};
  b.fc1 = {"mlp.fc1.weight", bias(has_bias, "mlp.fc1.bias"), 0, 0, b.hidden, b.whole_width};
  b.fc2 = {"mlp.fc2.weight", bias(has_bias, "mlp.fc2.bias"), 0, 0, b.whole_width, b.hidden};
  if (c.init_values > 0) {
    b.scale1 = "ls1.gamma";
    b.scale2 = "ls2.gamma";
  }
}

void name_norms(BlockSpec& b, const ViTConfig& c) {
  const std::string attention = b.is_parallel() ? "" : "attn.";
  const auto named = [&](const std::string& name, int64_t whole) {
    return BlockNorm{name, b.form, whole};
  };
  BlockNorm& first = c.norm.post_norm ? b.out_norm1 : b.norm1;
  BlockNorm& second = c.norm.post_norm ? b.out_norm2 : b.norm2;
  first = named(b.is_parallel() ? "in_norm" : "norm1", b.whole_width);
  second = named(b.is_parallel() ? "in_norm" : "norm2", b.whole_width);
  if (c.attention.qk_norm_width) {
    b.q_wide = named(attention + "q_norm", b.whole_width);
    b.k_wide = named(attention + "k_norm", b.whole_width);
  } else if (c.attention.qk_norm) {
    b.q_norm = named(attention + "q_norm", b.head_size());
    b.k_norm = named(attention + "k_norm", b.head_size());
  }
  // timm's names in either block.
  if (c.norm.attn_norm)
    b.attn_norm = named(b.is_parallel() ? "attn_norm" : "attn.norm", b.whole_width);
  if (c.norm.mlp_norm)
    b.mlp_norm = named(b.is_parallel() ? "mlp_norm" : "mlp.norm", b.whole_hidden);
}

void add_adapters(BlockSpec& b, const AdapterConfig& adapters) {
  std::set<std::string> names;
  std::set<std::string> unused(adapters.targets.begin(), adapters.targets.end());
  for (LinearSpec* layer : {&b.qkv, &b.proj, &b.gate, &b.fc1, &b.fc2}) {
    if (layer->weight.empty()) continue;
    const std::string name = layer->weight.substr(0, layer->weight.rfind('.'));
    names.insert(name);
    for (const std::string& target : adapters.targets) {
      if (!is_layer(name, target)) continue;
      unused.erase(target);
      layer->adapter = {name + ".lora_A.weight", name + ".lora_B.weight", adapters.rank,
                        adapters.scale()};
    }
  }
  if (!unused.empty())
    throw UsageError("lora.targets: '", *unused.begin(),
                     "' is no layer of these blocks; they have ",
                     join({names.begin(), names.end()}, ", "));
}

// Names of the parallel block's layers are of the MLP's rows.
void add_fast_weights(BlockSpec& b, const PlexConfig& plex) {
  const bool is_parallel = b.is_parallel();
  const auto add = [&](LinearSpec& layer, const std::string& name) {
    if (layer.weight.empty()) return;
    layer.fast = {name + ".fast_in", name + ".fast_out", name + ".fast_bias", plex.members(),
                  plex.batch_ensemble_sign};
  };
  add(b.gate, is_parallel ? "mlp_gate_proj" : "mlp.gate");
  add(b.fc1, is_parallel ? "mlp_in_proj" : "mlp.fc1");
  add(b.fc2, is_parallel ? "mlp_out_proj" : "mlp.fc2");
}

}  // namespace

NormForm norm_form(const ViTConfig& config) {
  const bool is_layer_norm = config.norm.norm_layer == "layernorm";
  return {.is_centred = is_layer_norm, .has_bias = is_layer_norm, .eps = config.norm.norm_eps};
}

LinearSpec BlockSpec::in_projection() const {
  return {fc1.weight, qkv.bias, 0, 0, gate.out + fc1.out + qkv.out, qkv.in, fc1.adapter};
}

LinearSpec BlockSpec::hidden_projection() const {
  return {fc1.weight, fc1.bias, 0, 0, gate.out + fc1.out, fc1.in, fc1.adapter};
}

std::vector<const LinearSpec*> BlockSpec::layers() const {
  std::vector<const LinearSpec*> all;
  for (const LinearSpec* layer : {&qkv, &gate, &fc1, &proj, &fc2})
    if (!layer->weight.empty()) all.push_back(layer);
  return all;
}

bool BlockSpec::has_adapters() const {
  const std::vector<const LinearSpec*> all = layers();
  return std::any_of(all.begin(), all.end(),
                     [](const LinearSpec* layer) { return layer->adapter.exists(); });
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
  check_block_cut(c, mesh);
  BlockSpec b{.arrangement = c.is_parallel() ? Arrangement::kParallel : Arrangement::kSerial,
              .width = mesh.share(MeshAxis::kModel, c.embed_dim).count,
              .whole_width = c.embed_dim,
              .hidden = mesh.share(MeshAxis::kModel, c.mlp_dim()).count,
              .whole_hidden = c.mlp_dim(),
              .heads = mesh.share(MeshAxis::kModel, c.num_heads).count,
              .activation = parse_activation(c.mlp.act_layer),
              .form = norm_form(c),
              .first_scale = c.init_values};
  b.is_parallel() ? name_parallel(b, c) : name_serial(b, c);
  name_norms(b, c);
  if (c.mlp.swiglu) add_gate(b);
  if (c.adapters.exist()) add_adapters(b, c.adapters);
  return b;
}

BlockSpec last_block_spec(const ViTConfig& c, const Mesh& mesh) {
  BlockSpec b = block_spec(c, mesh);
  if (c.plex.has_members()) add_fast_weights(b, c.plex);
  return b;
}

}  // namespace vit22b
