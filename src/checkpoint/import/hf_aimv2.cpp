#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/export/hf_text.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"aimv2", "aimv2_vision_model"};
constexpr std::string_view kPrefixes[] = {"vision_model."};
constexpr NameRule kLayerRules[] = {
    {"embeddings.position_embedding.weight", "pos_embed"},
    {"embeddings.position_ids", ""},
    {"encoder.layers.#.rms_norm1.", "blocks.#.norm1."},
    {"encoder.layers.#.rms_norm2.", "blocks.#.norm2."},
    {"encoder.layers.#.attention.q_proj.", "blocks.#.attn.qkv.", 0, 3},
    {"encoder.layers.#.attention.k_proj.", "blocks.#.attn.qkv.", 1, 3},
    {"encoder.layers.#.attention.v_proj.", "blocks.#.attn.qkv.", 2, 3},
    {"encoder.layers.#.attention.out_proj.", "blocks.#.attn.proj."},
    {"encoder.layers.#.ffn.gate_proj.", "blocks.#.mlp.fc1.", 0, 2},
    {"encoder.layers.#.ffn.up_proj.", "blocks.#.mlp.fc1.", 1, 2},
    {"encoder.layers.#.ffn.down_proj.", "blocks.#.mlp.fc2."},
    {"rms_norm.", "norm."},
};
constexpr NameRule kRules[] = {
    {"embeddings.patch_embed.", "patch_embed.proj."},
    {"embeddings.rms_norm.", "patch_embed.norm."},
    {"head.cls_token", "attn_pool.latent"},
    {"head.k_proj.", "attn_pool.kv.", 0, 2},
    {"head.v_proj.", "attn_pool.kv.", 1, 2},
    {"head.output_proj.", "attn_pool.proj."},
    {"visual_projection.", "head."},
    {"text_model.", ""},
    {"text_projection.", ""},
    {"logit_scale", ""},
};
constexpr std::string_view kTextPrefixes[] = {"text_model."};
constexpr NameRule kTextRules[] = {
    {"embeddings.token_embedding.", "token_embedding."},
    {"text_projection.", "joint."},
    {"vision_model.", ""},
    {"visual_projection.", ""},
};

std::vector<NameRule> with_layers(std::span<const NameRule> of_tower) {
  std::vector<NameRule> rules(of_tower.begin(), of_tower.end());
  rules.insert(rules.end(), std::begin(kLayerRules), std::end(kLayerRules));
  return rules;
}

}  // namespace

// AIMv2's pool asks by its query itself.
void take_bare_pool(RenamedTensors& tensors, ViTConfig& c) {
  c.pool.pool_mlp = false;
  tensors.make("attn_pool.q.weight", [](const ParameterRow& row) { return at::eye(row.shape[0]); });
  for (const char* name : {"attn_pool.q.bias", "attn_pool.kv.bias"}) tensors.make(name, made_zeros);
}

bool is_hf_aimv2(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_aimv2(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, with_layers(kRules)}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config,
                {.heads = 8, .eps = 1e-5, .eps_key = "rms_norm_eps", .activation = "silu"}, info);
  take_bare_pool(tensors, c);
  if (config.flag("is_native", false, "pos_embed")) c.tokens.pos_embed = "sincos";
  take_projection(tensors, c);
  take_hf_preprocessing(files, kClipScale, info);
  return model;
}

Imported read_hf_aimv2_text(const ImportFiles& files, const TensorContainer& weights) {
  constexpr int64_t kEnd = 49'407;
  Imported model{{}, {weights, kTextPrefixes, with_layers(kTextRules)}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  ViTConfig& c = info.config = config_of_words(tensors, files.config_place);
  take_hf_blocks(config, {.heads = 6, .eps = 1e-5, .eps_key = "rms_norm_eps", .activation = "silu"},
                 info);
  // transformers masks where its processor gives a mask of the padding, which it does.
  c.text.causal = true;
  c.text.text_pool = "eos";
  c.text.eos_id = config.integer("eos_token_id", kEnd, "eos_id");
  info.words.cleaning = Cleaning::kComposed;
  return model;
}

WrittenModel write_hf_aimv2(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  constexpr std::string_view kFlat[] = {"position_embedding.weight"};
  const ViTConfig& c = info.config;
  const std::vector<NameRule> rules = with_layers(kRules);
  WrittenModel model{renamed_back(table, {.rules = rules, .flat = kFlat})};
  nlohmann::ordered_json json = hf_config(c, "aimv2_vision_model", "Aimv2VisionModel");
  json.erase("layer_norm_eps");
  json.update({{"rms_norm_eps", c.norm.norm_eps},
               {"qkv_bias", c.attention.qkv_bias},
               {"mlp_bias", c.attention.proj_bias},
               {"is_native", c.tokens.pos_embed == "sincos"},
               {"use_head", false}});
  model.texts = hf_texts(json, info.pp_eval, "CLIPImageProcessor");
  return model;
}

}  // namespace vit22b
