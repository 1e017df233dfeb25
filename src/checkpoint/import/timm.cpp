#include "checkpoint/import/timm.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/import/timm_preprocessing.h"
#include "checkpoint/weights.h"
#include "core/error.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct SizeName {
  const char* part;
  int64_t heads;
};
// Heads of timm's vit_SIZE_... names; widths and depths come from the weights.
constexpr SizeName kHeads[] = {{"_tiny_", 3},      {"_small_", 6}, {"_base_", 12},
                               {"_large_", 16},    {"_huge_", 16}, {"_giant_", 16},
                               {"_gigantic_", 16}, {"_pwee_", 4},  {"_so400m_", 16}};

int64_t heads_of(const std::string& architecture, const fs::path& folder) {
  for (const SizeName& size : kHeads)
    if (architecture.find(size.part) != std::string::npos) return size.heads;
  throw CheckpointError((folder / "config.json").string(), ": the architecture '", architecture,
                        "' does not tell the number of heads; add \"num_heads\" to model_args");
}

/// What the names and shapes of the weights say.
void read_shapes(const WeightFiles& weights, ViTConfig& c) {
  const auto has = [&](const std::string& name) { return weights.contains(name); };
  const auto size = [&](const std::string& name, size_t dim) {
    return weights.entry(name).shape.at(dim);
  };
  c.block = has("blocks.0.in_proj.weight") ? "parallel" : "serial";
  c.embed_dim = size("patch_embed.proj.weight", 0);
  c.in_chans = size("patch_embed.proj.weight", 1);
  c.patch_size = size("patch_embed.proj.weight", 2);
  c.depth = 0;
  const std::string first_norm = c.is_parallel() ? "in_norm" : "norm1";
  while (has(concat("blocks.", c.depth, ".", first_norm, ".weight"))) ++c.depth;
  c.norm_layer = has("blocks.0." + first_norm + ".bias") ? "layernorm" : "rmsnorm";
  const std::string hidden =
      c.is_parallel() ? "blocks.0.mlp_out_proj.weight" : "blocks.0.mlp.fc2.weight";
  c.mlp_ratio = static_cast<double>(size(hidden, 1)) / static_cast<double>(c.embed_dim);
  while (c.mlp_dim() < size(hidden, 1)) c.mlp_ratio = std::nextafter(c.mlp_ratio, 1e9);
  c.qkv_bias = has(c.is_parallel() ? "blocks.0.in_proj.bias" : "blocks.0.attn.qkv.bias");
  c.qk_norm = has(c.is_parallel() ? "blocks.0.q_norm.weight" : "blocks.0.attn.q_norm.weight");
  c.class_token = has("cls_token");
  c.reg_tokens = has("reg_token") ? size("reg_token", 1) : 0;
  c.init_values = has(c.is_parallel() ? "blocks.0.ls.gamma" : "blocks.0.ls1.gamma") ? 1e-5 : 0;
  c.fc_norm = has("fc_norm.weight");
  c.global_pool = has("attn_pool.latent") ? "map" : (c.class_token && !c.fc_norm ? "token" : "avg");
  c.num_classes = has("head.weight") ? size("head.weight", 0) : 0;
}

void read_size(const Json& json, ImageSize& size) {
  if (json.is_number_integer()) size = {json.get<int64_t>(), json.get<int64_t>()};
  if (json.is_array() && json.size() >= 2)
    size = {json[json.size() - 2].get<int64_t>(), json[json.size() - 1].get<int64_t>()};
}

/// A string or number, or what is there already: hidden nulls are common in timm's files.
template <class T>
void read_value(const Json& json, const char* key, T& value) {
  if (json.contains(key) && !json.at(key).is_null()) value = json.at(key).get<T>();
}

}  // namespace

ModelInfo import_timm_config(const std::string& json_text, const fs::path& folder) {
  const Json json = Json::parse(json_text);
  std::string architecture;
  read_value(json, "architecture", architecture);
  if (!architecture.starts_with("vit_"))
    throw CheckpointError((folder / "config.json").string(), ": the architecture '", architecture,
                          "' is no vision transformer that vit22b knows; want timm's vit_* models");
  ModelInfo info;
  ViTConfig& c = info.config;
  c.name = architecture;
  const WeightFiles weights(folder);
  read_shapes(weights, c);
  const Json args = json.value("model_args", Json::object());
  const Json cfg = json.value("pretrained_cfg", json);
  if (cfg.contains("input_size")) read_size(cfg.at("input_size"), c.img_size);
  if (args.contains("img_size")) read_size(args.at("img_size"), c.img_size);
  c.act_layer = "gelu";
  read_value(args, "act_layer", c.act_layer);
  read_value(args, "init_values", c.init_values);
  read_value(args, "no_embed_class", c.no_embed_class);
  read_value(json, "global_pool", c.global_pool);
  read_value(args, "global_pool", c.global_pool);
  if (args.contains("num_heads"))
    c.num_heads = args.at("num_heads").get<int64_t>();
  else
    c.num_heads = heads_of(architecture, folder);
  if (!args.contains("no_embed_class") && c.num_prefix_tokens() > 0)
    c.no_embed_class = weights.entry("pos_embed").shape.at(1) == c.num_patches();
  c.validate();
  info.pp_eval = timm_pp_eval(cfg, c);
  return info;
}

std::string timm_config_text(const ViTConfig& c, const std::string& pp_eval) {
  const std::string architecture =
      c.is_parallel() ? "vit_base_patch16_xp_224" : "vit_base_patch16_224";
  Json args = {{"img_size", {c.img_size.height, c.img_size.width}},
               {"patch_size", c.patch_size},
               {"in_chans", c.in_chans},
               {"num_classes", c.num_classes},
               {"embed_dim", c.embed_dim},
               {"depth", c.depth},
               {"num_heads", c.num_heads},
               {"mlp_ratio", c.mlp_ratio},
               {"qkv_bias", c.qkv_bias},
               {"qk_norm", c.qk_norm},
               {"class_token", c.class_token},
               {"reg_tokens", c.reg_tokens},
               {"no_embed_class", c.no_embed_class},
               {"pre_norm", false},
               {"global_pool", c.global_pool},
               {"fc_norm", c.fc_norm},
               {"norm_layer", c.norm_layer},
               {"act_layer", c.act_layer}};
  if (c.init_values > 0) args["init_values"] = c.init_values;
  Json pretrained = {{"tag", "vit22b"},
                     {"custom_load", false},
                     {"input_size", {c.in_chans, c.img_size.height, c.img_size.width}},
                     {"fixed_input_size", true},
                     {"num_classes", c.num_classes},
                     {"pool_size", nullptr},
                     {"first_conv", "patch_embed.proj"},
                     {"classifier", "head"}};
  pretrained.update(timm_preprocessing(pp_eval, c));
  return Json{{"architecture", architecture}, {"num_classes", c.num_classes},
              {"num_features", c.embed_dim},  {"global_pool", c.global_pool},
              {"model_args", args},           {"pretrained_cfg", pretrained}}
      .dump();
}

}  // namespace vit22b
