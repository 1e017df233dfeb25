#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/export/hf_text.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {
    "clip",   "clip_vision_model",   "metaclip_2", "metaclip_2_vision_model",
    "siglip", "siglip_vision_model", "siglip2",    "siglip2_vision_model"};
constexpr std::string_view kPrefixes[] = {"vision_model.", "vision_model."};
constexpr NameRule kLayerRules[] = {
    {"encoder.layers.#.layer_norm1.", "blocks.#.norm1."},
    {"encoder.layers.#.layer_norm2.", "blocks.#.norm2."},
    {"encoder.layers.#.self_attn.q_proj.", "blocks.#.attn.qkv.", 0, 3},
    {"encoder.layers.#.self_attn.k_proj.", "blocks.#.attn.qkv.", 1, 3},
    {"encoder.layers.#.self_attn.v_proj.", "blocks.#.attn.qkv.", 2, 3},
    {"encoder.layers.#.self_attn.out_proj.", "blocks.#.attn.proj."},
    {"encoder.layers.#.mlp.", "blocks.#.mlp."},
    {"embeddings.position_embedding.weight", "pos_embed"},
    {"embeddings.position_ids", ""},
};
constexpr NameRule kRules[] = {
    {"embeddings.class_embedding", "cls_token"},
    {"embeddings.patch_embedding.weight", "patch_embed.proj.weight"},
    {"embeddings.patch_embedding.bias", "patch_embed.proj.bias"},
    {"pre_layrnorm.", "norm_pre."},  // so it is written
    {"post_layernorm.", "norm."},
    {"head.probe", "attn_pool.latent"},
    {"head.attention.in_proj_", "attn_pool.", 0, 1, Change::kQueryAndRest},
    {"head.attention.out_proj.", "attn_pool.proj."},
    {"head.layernorm.", "attn_pool.norm."},
    {"head.mlp.", "attn_pool.mlp."},
    {"visual_projection.", "head."},
    {"classifier.", "head."},
    {"text_model.", ""},
    {"text_projection.", ""},
    {"logit_scale", ""},
    {"logit_bias", ""},
};
constexpr std::string_view kClassifier[] = {"classifier."};
// SigLIP 2's patches are a linear layer over (row, column, channel).
constexpr NameRule kLinearPatches = {"embeddings.patch_embedding.weight", "patch_embed.proj.weight",
                                     0, 1, Change::kChannelsLast};

constexpr std::string_view kTextPrefixes[] = {"text_model."};
constexpr NameRule kTextRules[] = {
    {"embeddings.token_embedding.", "token_embedding."},
    {"final_layer_norm.", "norm."},
    {"head.", "joint."},
    {"text_projection.", "joint."},
    {"vision_model.", ""},
    {"visual_projection.", ""},
};

std::vector<NameRule> rules_of(bool has_linear_patches) {
  std::vector<NameRule> rules(std::begin(kRules), std::end(kRules));
  rules.insert(rules.end(), std::begin(kLayerRules), std::end(kLayerRules));
  if (has_linear_patches) rules.insert(rules.begin(), kLinearPatches);
  return rules;
}

// A classifier reads the mean of the patches, in CLIP before their norm.
void leave_pool(RenamedTensors& tensors, bool is_siglip) {
  for (const std::string& name : tensors.names("attn_pool.")) tensors.leave(name);
  if (is_siglip) return;
  for (const char* name : {"norm.weight", "norm.bias"}) tensors.leave(name);
}

// What the family's tokenizer does; SigLIP's have several classes, which their settings name.
TokenizerOptions words_of(const std::string& type) {
  if (type.starts_with("siglip"))
    return {.cleaning = Cleaning::kSiglipByClass,
            .prefers_sentencepiece = !type.starts_with("siglip2")};
  return {.cleaning = type.starts_with("clip") ? Cleaning::kComposed : Cleaning::kNone};
}

// Texts end with a mark whose number configs of CLIP's first files have as 2, which then stands for
// the largest.
void take_text_pool(const std::string& type, HfConfig& config, ModelInfo& info) {
  constexpr int64_t kClipEnd = 49'407, kMetaClipEnd = 2, kOldEnd = 2;
  TextConfig& text = info.config.text;
  text.causal = true;
  const bool is_metaclip = type.starts_with("metaclip_2");
  text.eos_id = config.integer("eos_token_id", is_metaclip ? kMetaClipEnd : kClipEnd, "eos_id");
  text.text_pool = !is_metaclip && text.eos_id == kOldEnd ? "argmax" : "eos";
}

}  // namespace

bool is_hf_clip(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_clip(const ImportFiles& files, const TensorContainer& weights) {
  ModelInfo info;
  HfConfig config(files, info);
  const std::string& type = config.model_type();
  const bool is_siglip = type.starts_with("siglip"), is_naflex = type.starts_with("siglip2");
  RenamedTensors tensors(weights, kPrefixes, rules_of(is_naflex));
  const bool is_classifier = config.architecture().ends_with("ForImageClassification");
  if (is_classifier) leave_pool(tensors, is_siglip);
  tensors.make("patch_embed.proj.bias", made_zeros);
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config,
                {.eps = is_siglip ? 1e-6 : 1e-5,
                 .activation = is_siglip ? "gelu_pytorch_tanh" : "quick_gelu",
                 .posemb_resize = is_naflex ? "bilinear_antialias" : "bicubic"},
                info);
  c.tokens.no_embed_class = false;
  // So EVA-CLIP's code beside its 8B and 18B calls norms behind the branches.
  c.norm.post_norm = config.flag("post_layernorm", false, "post_norm");
  if (is_naflex) take_square_image(tensors, c);
  if (is_classifier) c.pool.global_pool = "avg";
  if (!is_classifier) take_projection(tensors, c);
  take_hf_preprocessing(files, is_siglip ? kAroundHalf : kClipScale, info);
  return {info, tensors};
}

Imported read_hf_clip_text(const ImportFiles& files, const TensorContainer& weights) {
  ModelInfo info;
  HfConfig config(files, info);
  const std::string& type = config.model_type();
  const bool is_siglip = type.starts_with("siglip");
  std::vector<NameRule> rules(std::begin(kTextRules), std::end(kTextRules));
  rules.insert(rules.end(), std::begin(kLayerRules), std::end(kLayerRules));
  RenamedTensors tensors(weights, kTextPrefixes, rules);
  info.config = config_of_words(tensors, files.config_place);
  take_hf_blocks(config,
                 {.heads = is_siglip ? 12 : 8,
                  .eps = is_siglip ? 1e-6 : 1e-5,
                  .activation = is_siglip ? "gelu_pytorch_tanh" : "quick_gelu"},
                 info);
  if (!is_siglip) take_text_pool(type, config, info);
  info.words = words_of(type);
  return {info, tensors};
}

namespace {

constexpr std::string_view kFlat[] = {"position_embedding.weight", "class_embedding"};
constexpr std::pair<std::string_view, std::string_view> kPlaces[] = {{"visual_projection.", ""},
                                                                     {"", "vision_model."}};

}  // namespace

// EVA-CLIP 8B and 18B are CLIP with RMSNorm, and a bias of the patches, to the code beside them.
WrittenModel write_hf_clip(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  const ViTConfig& c = info.config;
  const bool is_eva = c.norm.norm_layer == "rmsnorm", is_projected = c.embeds_images();
  const std::vector<NameRule> rules = rules_of(false);
  std::vector<std::string_view> granted;
  if (is_projected) granted.emplace_back("head.bias");
  if (!is_eva) granted.emplace_back("patch_embed.proj.bias");
  WrittenModel model{renamed_back(table, {.rules = rules,
                                          .prefixes = kPlaces,
                                          .others = kClassifier,
                                          .granted = granted,
                                          .flat = kFlat})};
  nlohmann::ordered_json json = hf_config(
      c, "clip_vision_model", is_projected ? "CLIPVisionModelWithProjection" : "CLIPVisionModel");
  if (is_projected) json["projection_dim"] = c.text.joint_dim;
  if (is_eva) {
    json["use_rms_norm"] = true;
    json["post_layernorm"] = c.norm.post_norm;
    for (const char* part : {"q_bias", "k_bias", "v_bias"}) json[part] = c.attention.qkv_bias;
  }
  model.texts = hf_texts(json, info.pp_eval, "CLIPImageProcessor");
  return model;
}

WrittenModel write_hf_siglip(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  const ViTConfig& c = info.config;
  const std::vector<NameRule> rules = rules_of(false);
  WrittenModel model{renamed_back(
      table, {.rules = rules, .prefixes = kPlaces, .others = kClassifier, .flat = kFlat})};
  nlohmann::ordered_json json = hf_config(c, "siglip_vision_model", "SiglipVisionModel");
  json["vision_use_head"] = true;
  model.texts = hf_texts(json, info.pp_eval, "SiglipImageProcessor");
  return model;
}

}  // namespace vit22b
