#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/export/hf_text.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"dinov3_vit"};
constexpr std::string_view kPrefixes[] = {"dinov3_vit.", "model.", "embeddings."};
constexpr NameRule kRules[] = {
    {"register_tokens", "reg_token"},
    {"mask_token", ""},
    {"patch_embeddings.", "patch_embed.proj."},
    {"layer.#.norm1.", "blocks.#.norm1."},
    {"layer.#.norm2.", "blocks.#.norm2."},
    {"layer.#.attention.q_proj.", "blocks.#.attn.qkv.", 0, 3},
    {"layer.#.attention.k_proj.", "blocks.#.attn.qkv.", 1, 3},
    {"layer.#.attention.v_proj.", "blocks.#.attn.qkv.", 2, 3},
    {"layer.#.attention.o_proj.", "blocks.#.attn.proj."},
    {"layer.#.layer_scale1.lambda1", "blocks.#.ls1.gamma"},
    {"layer.#.layer_scale2.lambda1", "blocks.#.ls2.gamma"},
    {"layer.#.mlp.down_proj.", "blocks.#.mlp.fc2."},
    {"layer.#.mlp.gate_proj.", "blocks.#.mlp.fc1.", 0, 2},
    {"layer.#.mlp.up_proj.", "blocks.#.mlp.fc1.", 1, 2},
    {"classifier.", "head."},
};
// The MLP without a gate.
constexpr std::string_view kUp = "layer.#.mlp.up_proj.", kHidden = "blocks.#.mlp.fc1.";

std::vector<NameRule> rules_of(bool is_gated) {
  std::vector<NameRule> rules(std::begin(kRules), std::end(kRules));
  if (!is_gated) rules.insert(rules.begin(), {kUp, kHidden});
  return rules;
}

}  // namespace

bool is_hf_dinov3(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_dinov3(const ImportFiles& files, const TensorContainer& weights) {
  ModelInfo info;
  HfConfig config(files, info);
  RenamedTensors tensors(weights, kPrefixes, rules_of(config.flag("use_gated_mlp", false)));
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config, {.heads = 6, .eps = 1e-5}, info);
  c.rotary = {.rope = "centre",
              .rope_theta = config.number("rope_theta", 100, "rope_theta"),
              .rope_half = true};
  take_hf_preprocessing(files, kImageNetScale, info);
  return {info, tensors};
}

WrittenModel write_hf_dinov3(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  constexpr std::pair<std::string_view, std::string_view> kPlaces[] = {
      {"cls_token", "embeddings."},
      {"register_tokens", "embeddings."},
      {"patch_embeddings.", "embeddings."}};
  const ViTConfig& c = info.config;
  const std::vector<NameRule> rules = rules_of(c.mlp.swiglu);
  WrittenModel model{renamed_back(table, {.rules = rules, .prefixes = kPlaces})};
  model.tensors.push_back({"embeddings.mask_token", {1, 1, c.embed_dim}, {}});
  nlohmann::ordered_json json = hf_config(c, "dinov3_vit", "DINOv3ViTModel");
  for (const char* part : {"query_bias", "key_bias", "value_bias"})
    json[part] = c.attention.qkv_bias;
  json.update({{"proj_bias", c.attention.proj_bias},
               {"mlp_bias", c.attention.proj_bias},
               {"layerscale_value", c.init_values},
               {"use_gated_mlp", c.mlp.swiglu},
               {"num_register_tokens", c.tokens.reg_tokens},
               {"rope_theta", c.rotary.rope_theta}});
  model.texts = hf_texts(json, info.pp_eval, "DINOv3ViTImageProcessorFast");
  return model;
}

}  // namespace vit22b
