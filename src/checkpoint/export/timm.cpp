#include "checkpoint/import/timm.h"

#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/import/timm_args.h"
#include "checkpoint/import/timm_map.h"
#include "checkpoint/import/timm_registry.h"
#include "checkpoint/init_difference.h"
#include "core/error.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr NameRule kEvaRules[] = {{"blocks.#.gamma_1", "blocks.#.ls1.gamma"},
                                  {"blocks.#.gamma_2", "blocks.#.ls2.gamma"},
                                  {"blocks.#.mlp.fc1_g.", "blocks.#.mlp.fc1.", 0, 2},
                                  {"blocks.#.mlp.fc1_x.", "blocks.#.mlp.fc1.", 1, 2}};
constexpr std::string_view kSplitGate = "blocks.#.mlp.fc1_";

/// One of timm's architectures of its class Eva, and what it is given beside its own arguments.
struct EvaArchitecture {
  std::string name;
  Json own, given;
};

Json sizes_of(const ViTConfig& c) {
  Json sizes = {{"embed_dim", c.embed_dim},    {"depth", c.depth},
                {"num_heads", c.num_heads},    {"img_size", {c.img_size.height, c.img_size.width}},
                {"patch_size", c.patch_size},  {"in_chans", c.in_chans},
                {"num_classes", c.num_classes}};
  if (c.pool.pool_heads > 0) sizes["attn_pool_num_heads"] = c.pool.pool_heads;
  return sizes;
}

// The architecture that computes the same where it has the model's sizes.
std::optional<EvaArchitecture> eva_architecture(const ViTConfig& config) {
  for (const std::string& name : timm_architectures()) {
    const Json own = Json::parse(timm_arguments(name, name));
    if (own.value("class", "") != "Eva") continue;
    Json given = sizes_of(config);
    if (own.contains("num_kv_heads")) {
      // Shared keys and values have been repeated: every head has its own, and all are one matrix.
      given["num_kv_heads"] =
          std::vector<int64_t>(static_cast<size_t>(config.depth), config.num_heads);
      given["qkv_fused"] = true;
    }
    try {
      ViTConfig model = model_of_timm_args({name, given.dump(), "{}", name});
      model.depth = config.depth;
      if (different_functions(model, config).empty()) return EvaArchitecture{name, own, given};
    } catch (const UserError&) {
      continue;  // what no block here computes
    }
  }
  return std::nullopt;
}

bool says(const Json& arguments, const char* key) {
  const Json value = arguments.value(key, Json(false));
  return value.is_boolean() ? value.get<bool>() : value.is_number() && value != 0;
}

/// The config with the classes' names, where timm's tools look for them.
std::string with_names(const std::string& text, const std::vector<std::string>& names) {
  Json json = Json::parse(text);
  if (!names.empty()) json["label_names"] = names;
  return json.dump(1) + "\n";
}

WrittenModel write_eva(const ModelInfo& info, const std::vector<ParameterRow>& table,
                       const EvaArchitecture& eva) {
  const ViTConfig& c = info.config;
  // Its other attention has biases of queries and values, and none of keys.
  if (c.attention.qkv_bias && eva.own.value("attn_type", "eva") != "rope")
    throw UsageError("--to timm: ", eva.name, " has no biases of keys, '", c.name, "' has");
  const bool is_split = says(eva.own, "scale_mlp") || says(eva.own, "swiglu_align_to");
  std::vector<std::string> granted;
  if (says(eva.own, "use_pre_transformer_norm")) granted.emplace_back("patch_embed.proj.bias");
  if (says(eva.own, "attn_only_layer_scale"))
    for (int64_t block = 0; block < c.depth; ++block)
      granted.push_back(concat("blocks.", block, ".ls2.gamma"));
  const std::vector<std::string_view> names(granted.begin(), granted.end());
  WrittenModel model{renamed_back(
      table, {.rules = kEvaRules,
              .others = std::span<const std::string_view>(&kSplitGate, is_split ? 0 : 1),
              .granted = names})};
  model.texts["config.json"] =
      with_names(timm_config_text(c, info.pp_eval, eva.name, eva.given), info.label_names);
  return model;
}

/// The same model with its hidden units as timm has them, by their ratio to the width.
ViTConfig by_ratio(ViTConfig config) {
  if (config.mlp.swiglu || config.mlp.mlp_hidden == 0) return config;
  config.mlp.mlp_ratio = exact_ratio(config.mlp.mlp_hidden, config.embed_dim);
  config.mlp.mlp_hidden = 0;
  return config;
}

/// Where a norm comes before the blocks timm's patches have no bias, which is 0 then.
std::vector<WrittenTensor> without_granted(std::vector<WrittenTensor> tensors,
                                           const ViTConfig& config) {
  if (config.norm.pre_norm)
    std::erase_if(tensors, [](const WrittenTensor& tensor) {
      return tensor.name == "patch_embed.proj.bias";
    });
  return tensors;
}

}  // namespace

std::vector<WrittenTensor> under_timms_names(const std::vector<ParameterRow>& table) {
  std::vector<WrittenTensor> written;
  for (const TimmTensor& tensor : timm_tensors(table)) {
    written.push_back({tensor.name, tensor.row->shape, {}});
    if (!tensor.is_zero) written.back().slices = {{tensor.row}};
  }
  return written;
}

WrittenModel write_timm(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  if (info.config.rotary.rope != "none" || info.config.norm.attn_norm) {
    if (const auto eva = eva_architecture(info.config)) return write_eva(info, table, *eva);
  } else if (const std::string text = timm_config_text(by_ratio(info.config), info.pp_eval);
             Json::parse(text).contains("architecture")) {
    return {without_granted(under_timms_names(table), info.config),
            {{"config.json", with_names(text, info.label_names)}}};
  }
  throw UsageError("--to timm: no architecture of timm's computes what '", info.config.name,
                   "' does");
}

}  // namespace vit22b
