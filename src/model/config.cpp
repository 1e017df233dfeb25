#include "model/config.h"

#include <cmath>

#include "core/error.h"

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

// The ratio whose product with the width truncates to the hidden width exactly.
double exact_ratio(int64_t mlp, int64_t width) {
  double ratio = static_cast<double>(mlp) / static_cast<double>(width);
  while (static_cast<int64_t>(ratio * static_cast<double>(width)) < mlp)
    ratio = std::nextafter(ratio, 1e9);
  return ratio;
}

std::string nearest_sizes(int64_t size, int64_t patch) {
  const int64_t below = size / patch * patch;
  return below > 0 ? concat(below, " or ", below + patch) : std::to_string(patch);
}

constexpr int64_t kMostBlocks = 1'000;  // a table of a million fills the memory before any weight
constexpr int64_t kMostOfAPatch = 1'000'000'000;

void want_positive(const char* key, int64_t value) {
  // A bound against overflow of products of sizes: no real model has a side of a million.
  if (value <= 0 || value > 1'000'000)
    throw UsageError("model.", key, " is ", value, ", want 1 to 1,000,000");
}

void check_words(const ViTConfig& c) {
  want_positive("context_length", c.text.context_length);
  if (c.text.vocab_size > 100'000'000)
    throw UsageError("model.vocab_size is ", c.text.vocab_size, ", want at most 100,000,000");
  if (c.text.joint_dim < 0 || c.text.joint_dim > 1'000'000)
    throw UsageError("model.joint_dim is ", c.text.joint_dim, ", want 0 to 1,000,000");
  if (c.tokens.class_token || c.tokens.reg_tokens > 0 || c.pool.global_pool == "token")
    throw UsageError(
        "a text tower has words alone: model.class_token=false model.reg_tokens=0, and "
        "global_pool map, avg or last");
  if (c.text.joint_dim > 0 && c.num_classes > 0)
    throw UsageError("model.joint_dim and model.num_classes exclude each other");
}

}  // namespace

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
  v.field("mlp_ratio", mlp.mlp_ratio, "hidden width of the MLP over the width");
  v.field("qkv_bias", attention.qkv_bias, "biases on the query, key and value projections");
  v.field("qk_norm", attention.qk_norm, "normalise queries and keys per head");
  v.field("class_token", tokens.class_token, "a learned class token before the patches");
  v.field("reg_tokens", tokens.reg_tokens, "number of register tokens");
  v.field("no_embed_class", tokens.no_embed_class, "prefix tokens get no position");
  v.choice("global_pool", pool.global_pool, "map|avg|token|last", "how tokens become one vector");
  v.field("fc_norm", norm.fc_norm, "with avg: norm after pooling instead of before");
  v.field("final_norm", norm.final_norm, "a norm after the blocks, or after pooling");
  v.field("pool_include_prefix", pool.pool_include_prefix,
          "with map and avg: pool the class token and registers too");
  v.choice("norm_layer", norm.norm_layer, "rmsnorm|layernorm", "kind of all norms");
  v.field("norm_eps", norm.norm_eps, "added to the norms' variance");
  v.choice("act_layer", mlp.act_layer, "gelu_tanh|gelu", "GELU in the tanh or erf form");
  v.field("init_values", init_values, "LayerScale's first value; 0 for none");
  v.field("num_classes", num_classes, "classifier outputs; 0 for none");
  v.field("head_bias_init", head_bias_init, "first value of the classifier's bias");
  v.choice("posemb_resize", tokens.posemb_resize,
           "bicubic_antialias|bicubic|bilinear_align_corners",
           "how the position table moves to another grid");
  v.field("vocab_size", text.vocab_size, "of a text tower; 0 for images");
  v.field("context_length", text.context_length, "words that a text tower reads");
  v.field("joint_dim", text.joint_dim,
          "width of the embedding that a text tower shares with images");
}

void ViTConfig::validate() const {
  ViTConfig copy = *this;  // a visitor may change what it sees; this one does not
  require_choices([&](FieldVisitor& v) { copy.fields(v); }, "model.");
  want_positive("img_size", img_size.height);
  want_positive("img_size", img_size.width);
  want_positive("patch_size", patch_size);
  want_positive("in_chans", in_chans);
  want_positive("embed_dim", embed_dim);
  if (depth <= 0 || depth > kMostBlocks)
    throw UsageError("model.depth is ", depth, ", want 1 to 1,000");
  want_positive("num_heads", num_heads);
  if (reads_words())
    check_words(*this);
  else if (text.context_length != 0 || text.joint_dim != 0 || pool.global_pool == "last")
    throw UsageError(
        "model.context_length, model.joint_dim and global_pool=last are a text tower's; "
        "set model.vocab_size");
  for (const int64_t side : {img_size.height, img_size.width})
    if (side % patch_size != 0)
      throw UsageError("image size ", side, " is no multiple of the patch size ", patch_size,
                       "; the nearest sizes are ", nearest_sizes(side, patch_size));
  if (patch_size * patch_size > kMostOfAPatch / in_chans)
    throw UsageError("model.patch_size ", patch_size, " with model.in_chans ", in_chans,
                     ": a patch has more than ", kMostOfAPatch, " values");
  if (embed_dim % num_heads != 0)
    throw UsageError("model.embed_dim ", embed_dim, " is no multiple of model.num_heads ",
                     num_heads);
  if (!(mlp.mlp_ratio > 0) || mlp.mlp_ratio > 1000 || mlp_dim() < 1)
    throw UsageError("model.mlp_ratio is ", mlp.mlp_ratio,
                     ", want more than 0 and at least one hidden unit");
  if (tokens.reg_tokens < 0 || tokens.reg_tokens > 10'000)
    throw UsageError("model.reg_tokens is ", tokens.reg_tokens, ", want 0 to 10,000");
  if (num_classes < 0 || num_classes > 100'000'000)
    throw UsageError("model.num_classes is ", num_classes, ", want 0 or more");
  if (!(norm.norm_eps >= 0))
    throw UsageError("model.norm_eps is ", norm.norm_eps, ", want 0 or more");
  if (pool.global_pool == "token" && !tokens.class_token)
    throw UsageError("model.global_pool=token needs model.class_token=true; or use map or avg");
  if (norm.fc_norm && (pool.global_pool != "avg" || !norm.final_norm))
    throw UsageError("model.fc_norm goes with model.global_pool=avg and model.final_norm=true");
  if (pool.pool_include_prefix && pool.global_pool != "avg" && pool.global_pool != "map")
    throw UsageError("model.pool_include_prefix goes with model.global_pool map or avg");
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  names.reserve(std::size(kPresets));
  for (const PresetRow& row : kPresets) names.emplace_back(row.name);
  return names;
}

ViTConfig preset(const std::string& name, const std::string& block) {
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
