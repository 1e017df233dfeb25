#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/export/hf_text.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"internvl_vision"};
constexpr std::string_view kPrefixes[] = {"vision_tower.", "embeddings."};
constexpr NameRule kRules[] = {
    {"patch_embeddings.projection.", "patch_embed.proj."},
    {"position_embeddings", "pos_embed"},
    {"mask_token", ""},
    {"encoder.layer.#.layernorm_before.", "blocks.#.norm1."},
    {"encoder.layer.#.layernorm_after.", "blocks.#.norm2."},
    {"encoder.layer.#.attention.q_proj.", "blocks.#.attn.qkv.", 0, 3},
    {"encoder.layer.#.attention.k_proj.", "blocks.#.attn.qkv.", 1, 3},
    {"encoder.layer.#.attention.v_proj.", "blocks.#.attn.qkv.", 2, 3},
    {"encoder.layer.#.attention.q_norm.", "blocks.#.attn.q_norm."},
    {"encoder.layer.#.attention.k_norm.", "blocks.#.attn.k_norm."},
    {"encoder.layer.#.attention.projection_layer.", "blocks.#.attn.proj."},
    {"encoder.layer.#.lambda_1", "blocks.#.ls1.gamma"},
    {"encoder.layer.#.lambda_2", "blocks.#.ls2.gamma"},
    {"encoder.layer.#.mlp.", "blocks.#.mlp."},
    {"layernorm.", "norm."},
};
constexpr double kEpsOfQueries = 1e-6;  // modeling_internvl.py, whatever layer_norm_eps is

}  // namespace

bool is_hf_internvl(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_internvl(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, kRules}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config, {.heads = 16, .eps = kEpsOfQueries, .image = {448, 448}}, info);
  c.tokens.no_embed_class = false;
  if (c.attention.qk_norm_width && c.norm.norm_eps != kEpsOfQueries)
    throw CheckpointError(files.config_place, ": layer_norm_eps is ", c.norm.norm_eps,
                          ", but queries and keys are normalised with 1e-06; want one for all");
  take_hf_preprocessing(files, kImageNetScale, info);
  return model;
}

WrittenModel write_hf_internvl(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  constexpr std::pair<std::string_view, std::string_view> kPlaces[] = {
      {"cls_token", "embeddings."},
      {"position_embeddings", "embeddings."},
      {"patch_embeddings.", "embeddings."}};
  const ViTConfig& c = info.config;
  WrittenModel model{renamed_back(table, {.rules = kRules, .prefixes = kPlaces})};
  nlohmann::ordered_json json = hf_config(c, "internvl_vision", "InternVLVisionModel");
  json["image_size"] = {c.img_size.height, c.img_size.width};
  json["patch_size"] = {c.patch_size, c.patch_size};
  json.update({{"norm_type", c.norm.norm_layer == "rmsnorm" ? "rms_norm" : "layer_norm"},
               {"use_qk_norm", c.attention.qk_norm},
               {"attention_bias", c.attention.qkv_bias},
               {"layer_scale_init_value", c.init_values},
               {"use_absolute_position_embeddings", true},
               {"use_mask_token", false},
               {"use_mean_pooling", !c.norm.final_norm}});
  model.texts = hf_texts(json, info.pp_eval, "CLIPImageProcessor");
  return model;
}

}  // namespace vit22b
