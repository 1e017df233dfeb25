#include "model/config.h"

#include <cmath>

#include "core/error.h"
#include "model/giants.h"

namespace vit22b {
namespace {

struct PresetRow {
  const char* name;
  int64_t width, depth, mlp, heads, patch;
};

// paper.md 1.6: Zhai et al. 2022 table 2, big_vision's decode_variant, and the ViT-22B row; then
// small ones of ours.
constexpr PresetRow kPresets[] = {
    {"test8", 32, 2, 128, 2, 8},      {"demo7", 96, 4, 384, 3, 7},
    {"ti16", 192, 12, 768, 3, 16},    {"s16", 384, 12, 1536, 6, 16},
    {"b32", 768, 12, 3072, 12, 32},   {"b16", 768, 12, 3072, 12, 16},
    {"l16", 1024, 24, 4096, 16, 16},  {"h14", 1280, 32, 5120, 16, 14},
    {"g14", 1408, 40, 6144, 16, 14},  {"G14", 1664, 48, 8192, 16, 14},
    {"e14", 1792, 56, 15360, 16, 14}, {"22b14", 6144, 48, 24576, 48, 14},
};

// With these a model needs no preset: an imported one has its family's name.
constexpr const char* kOwnSizes[] = {"embed_dim", "depth", "num_heads", "patch_size"};

}  // namespace

void AttentionConfig::fields(FieldVisitor& v) {
  v.field("qkv_bias", qkv_bias, "biases on the query, key and value projections");
  v.field("qk_norm", qk_norm, "normalise queries and keys per head");
  v.field("qk_norm_width", qk_norm_width, "with qk_norm: over all heads together instead of each");
  v.field("proj_bias", proj_bias, "biases on the output projections and the MLP");
}

void MlpConfig::fields(FieldVisitor& v) {
  v.field("mlp_ratio", mlp_ratio, "hidden width of the MLP over the width");
  v.field("mlp_hidden", mlp_hidden, "hidden units of the MLP; 0 for mlp_ratio times the width");
  v.field("swiglu", swiglu, "a gated MLP: activation(gate) times the hidden units");
  v.choice("act_layer", act_layer, "gelu_tanh|gelu|quick_gelu|silu",
           "GELU in the tanh, erf or sigmoid form, or SiLU; a gated MLP's gate has it");
}

void AdapterConfig::fields(FieldVisitor& v) {
  v.field("rank", rank, "of low-rank adapters beside the layers of blocks; 0 for none");
  v.field("alpha", alpha, "adapters add alpha / rank times their product");
  v.field("targets", targets,
          "layers that have one, by the ends of their names: [\"qkv\", \"proj\"]; * for all");
}

void NormConfig::fields(FieldVisitor& v) {
  v.field("fc_norm", fc_norm, "with avg: norm after pooling instead of before");
  v.field("final_norm", final_norm, "a norm after the blocks, or after pooling");
  v.field("pre_norm", pre_norm, "a norm between the embedding and the blocks");
  v.field("embed_norm", embed_norm, "a norm of the patches before their positions");
  v.field("post_norm", post_norm, "x + norm(f(x)) instead of x + f(norm(x))");
  v.field("attn_norm", attn_norm, "a norm of what was attended, before its projection");
  v.field("mlp_norm", mlp_norm, "a norm of the MLP's hidden units, before their projection");
  v.choice("norm_layer", norm_layer, "rmsnorm|layernorm", "kind of all norms");
  v.field("norm_eps", norm_eps, "added to the norms' variance");
}

void TokenConfig::fields(FieldVisitor& v) {
  v.field("class_token", class_token, "a learned class token before the patches");
  v.field("reg_tokens", reg_tokens, "number of register tokens");
  v.field("no_embed_class", no_embed_class, "prefix tokens get no position");
  v.field("drop_edge", drop_edge,
          "leave pixels at the right and below that fill no patch, instead of refusing the size");
  v.choice("pos_embed", pos_embed, "learn|none|sincos",
           "positions that are added to patches: a learned table, none, or sines of any grid");
  v.choice(
      "posemb_resize", posemb_resize,
      "bicubic_antialias|bicubic|dinov2|bilinear|bilinear_antialias|bilinear_align_corners|radio",
      "how the position table moves to another grid");
}

void RotaryConfig::fields(FieldVisitor& v) {
  v.choice("rope", rope, "none|index|centre", "rotary positions of patches");
  v.field("rope_theta", rope_theta, "base of the rotation's wavelengths");
  v.field("rope_half", rope_half, "rotate features half a head apart, not neighbours");
  v.field("rope_xy", rope_xy, "the columns' angles before the rows'");
  v.field("rope_offset", rope_offset, "added to row and column numbers");
  v.field("rope_bf16", rope_bf16,
          "wavelengths rounded to bfloat16, as DINOv3's own files have them");
  v.field("rope_ref", rope_ref,
          "with index: the grid in patches whose numbers others are scaled to; 0 for none");
}

void PoolConfig::fields(FieldVisitor& v) {
  v.choice("global_pool", global_pool, "map|avg|token|cls_avg|last|none",
           "how tokens become one vector");
  v.field("pool_include_prefix", pool_include_prefix,
          "with map and avg: pool the class token and registers too");
  v.field("pool_heads", pool_heads, "with map: heads of the pool; 0 for num_heads");
  v.field(
      "pool_mlp_ratio", pool_mlp_ratio,
      "with map: hidden width of the pool's MLP over the width; 0 for the blocks' hidden units");
  v.choice("pool_act", pool_act, "same|gelu_tanh|gelu|quick_gelu|silu",
           "with map: activation of the pool's MLP");
  v.field("pool_mlp", pool_mlp, "with map: end the pool with a norm and an MLP");
}

void TextConfig::fields(FieldVisitor& v) {
  v.field("vocab_size", vocab_size, "of a text tower; 0 for images");
  v.field("context_length", context_length, "words that a text tower reads");
  v.field("joint_dim", joint_dim, "width of the embedding that a text tower shares with images");
  v.field("causal", causal, "of a text tower: words see those before them alone");
  v.choice("text_pool", text_pool, "last|argmax|eos",
           "with last: the word of the last place, of the largest number, or the first eos_id");
  v.field("eos_id", eos_id, "the number of the word that ends a text");
}

void PlexConfig::fields(FieldVisitor& v) {
  v.choice("head", head, "linear|heteroscedastic",
           "heteroscedastic: logits have noise that depends on the image");
  v.field("head_factors", head_factors,
          "heteroscedastic: rank of the noise's covariance, beside its diagonal");
  v.field("head_samples", head_samples, "heteroscedastic: samples of the noise");
  v.field("head_temperature", head_temperature, "heteroscedastic: divides noisy logits");
  v.choice("head_link", head_link, "softmax|sigmoid",
           "how samples and members become probabilities, which are averaged: that of the loss");
  v.field("batch_ensemble_blocks", batch_ensemble_blocks,
          "last blocks whose MLPs have vectors of each member's own; 0 for none");
  v.field("batch_ensemble_size", batch_ensemble_size, "members of the ensemble");
  v.field("batch_ensemble_sign", batch_ensemble_sign,
          "first values of members' vectors: above 0 the probability of 1 against -1; else normal "
          "around 1, with the negated standard deviation");
}

void ViTConfig::fields(FieldVisitor& v) {
  v.field("name", name, "preset that the other keys change");
  v.choice("block", block, "parallel|serial",
           "ViT-22B's parallel block or the classic sequential one");
  v.field("img_size", img_size, "image height and width in pixels");
  v.field("patch_size", patch_size, "side of a patch in pixels");
  v.field("in_chans", in_chans, "image channels");
  v.field("embed_dim", embed_dim, "width");
  v.field("depth", depth, "number of blocks");
  v.field("num_heads", num_heads, "attention heads");
  v.field("init_values", init_values, "LayerScale's first value; 0 for none");
  v.field("num_classes", num_classes, "classifier outputs; 0 for none");
  v.field("head_bias_init", head_bias_init, "first value of the classifier's bias");
  attention.fields(v);
  mlp.fields(v);
  norm.fields(v);
  tokens.fields(v);
  rotary.fields(v);
  pool.fields(v);
  text.fields(v);
  plex.fields(v);
}

double exact_ratio(int64_t hidden, int64_t width) {
  double ratio = static_cast<double>(hidden) / static_cast<double>(width);
  while (static_cast<int64_t>(ratio * static_cast<double>(width)) < hidden)
    ratio = std::nextafter(ratio, 1e9);
  return ratio;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const PresetRow& row : kPresets) names.emplace_back(row.name);
  const std::vector<std::string> giants = giant_names();
  names.insert(names.end(), giants.begin(), giants.end());
  return names;
}

ViTConfig preset(const std::string& name, const std::string& block) {
  if (const auto config = giant(name)) return *config;
  for (const PresetRow& row : kPresets) {
    if (name != row.name) continue;
    ViTConfig config{.name = name,
                     .block = block,
                     .patch_size = row.patch,
                     .embed_dim = row.width,
                     .depth = row.depth,
                     .num_heads = row.heads,
                     .mlp = {.mlp_ratio = exact_ratio(row.mlp, row.width)}};
    if (name == "demo7") {
      config.img_size = {28, 28};
      config.in_chans = 1;
      config.num_classes = 10;
    }
    if (block == "serial") {
      config.attention.qkv_bias = true;
      config.attention.qk_norm = false;
      config.tokens.class_token = true;
      config.pool.global_pool = "token";
      config.norm.norm_layer = "layernorm";
      config.mlp.act_layer = "gelu";
    } else if (block != "parallel") {
      throw UsageError("model.block is '", block, "', want parallel or serial");
    }
    return config;
  }
  throw UsageError("no model preset '", name, "'", did_you_mean(name, preset_names()),
                   "; there are ", join(preset_names(), ", "));
}

ViTConfig base_model(const ConfigTree& tree, const std::string& default_name) {
  const auto text = [&](const char* key, const std::string& otherwise) {
    const auto it = tree.find(key);
    if (it == tree.end()) return otherwise;
    const auto* value = std::get_if<std::string>(&it->second.value);
    if (value != nullptr) return *value;
    if (!it->second.typed.empty()) return it->second.typed;
    throw UsageError(it->second.origin, ": model.", key, " wants a string");
  };
  const std::string name = text("name", default_name), block = text("block", "parallel");
  const std::vector<std::string> presets = preset_names();
  const bool is_preset = std::find(presets.begin(), presets.end(), name) != presets.end();
  const bool is_written = std::all_of(std::begin(kOwnSizes), std::end(kOwnSizes),
                                      [&](const char* key) { return tree.count(key) != 0; });
  ViTConfig config = preset(is_preset || !is_written ? name : presets.front(), block);
  config.name = name;
  return config;
}

ViTConfig model_from_tree(const ConfigTree& tree, const std::string& default_name) {
  ViTConfig config = base_model(tree, default_name);
  apply_config(tree, [&](FieldVisitor& v) { config.fields(v); });
  config.validate();
  return config;
}

}  // namespace vit22b
