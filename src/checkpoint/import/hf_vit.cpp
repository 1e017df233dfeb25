#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/export/hf_text.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {
    "vit", "vit_msn", "deit", "vit_mae", "ijepa", "dinov2", "dinov2_with_registers", "dpt"};
constexpr std::string_view kPrefixes[] = {"vit.", "deit.", "ijepa.", "dinov2.",
                                          "dinov2_with_registers."};
constexpr NameRule kRules[] = {
    {"embeddings.cls_token", "cls_token"},
    {"embeddings.position_embeddings", "pos_embed"},
    {"embeddings.register_tokens", "reg_token"},
    {"embeddings.distillation_token", "reg_token"},
    {"embeddings.mask_token", ""},
    {"embeddings.patch_embeddings.projection.", "patch_embed.proj."},
    {"encoder.layer.#.layernorm_before.", "blocks.#.norm1."},
    {"encoder.layer.#.layernorm_after.", "blocks.#.norm2."},
    {"encoder.layer.#.norm1.", "blocks.#.norm1."},
    {"encoder.layer.#.norm2.", "blocks.#.norm2."},
    {"encoder.layer.#.attention.attention.query.", "blocks.#.attn.qkv.", 0, 3},
    {"encoder.layer.#.attention.attention.key.", "blocks.#.attn.qkv.", 1, 3},
    {"encoder.layer.#.attention.attention.value.", "blocks.#.attn.qkv.", 2, 3},
    {"encoder.layer.#.attention.output.dense.", "blocks.#.attn.proj."},
    {"encoder.layer.#.layer_scale1.lambda1", "blocks.#.ls1.gamma"},
    {"encoder.layer.#.layer_scale2.lambda1", "blocks.#.ls2.gamma"},
    {"encoder.layer.#.intermediate.dense.", "blocks.#.mlp.fc1."},
    {"encoder.layer.#.output.dense.", "blocks.#.mlp.fc2."},
    {"encoder.layer.#.mlp.weights_in.", "blocks.#.mlp.fc1."},
    {"encoder.layer.#.mlp.weights_out.", "blocks.#.mlp.fc2."},
    {"encoder.layer.#.mlp.", "blocks.#.mlp."},
    {"layernorm.", "norm."},
    {"pooler.dense.", ""},  // of features that no classifier reads
    {"decoder.", ""},
    {"classifier.", "head."},
    {"cls_classifier.", "head."},
};

constexpr double kTinyEps = 1e-12;

HfDefaults defaults_of(const std::string& type) {
  const bool is_dinov2 = type.starts_with("dinov2");
  return {.eps = is_dinov2 || type == "vit_msn" ? 1e-6 : kTinyEps,
          .posemb_resize = type == "dinov2_with_registers" ? "bicubic_antialias"
                           : type == "dpt"                 ? "bilinear"
                                                           : "bicubic"};
}

// The logits of a distilled DeiT are the mean of two heads, which is no head of a model here.
void leave_two_heads(RenamedTensors& tensors, ModelInfo& info) {
  if (!tensors.contains("distillation_classifier.weight")) return;
  for (const char* name : {"head", "distillation_classifier"})
    for (const char* part : {".weight", ".bias"}) tensors.leave(concat(name, part));
  note_origin(info, "num_classes",
              "the mean of two heads is no classifier here; both are left out");
}

}  // namespace

bool is_hf_vit(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_vit(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, kRules}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  const std::string& type = config.model_type();
  const bool has_folded = type == "dinov2_with_registers";
  if (has_folded) tensors.fold_class_position();
  leave_two_heads(tensors, info);
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config, defaults_of(type), info);
  c.tokens.no_embed_class = has_folded;
  if (type == "ijepa") c.pool.global_pool = "avg";
  if (c.mlp.swiglu) c.mlp.act_layer = "silu";  // whatever hidden_act says
  if (type.starts_with("dinov2") && c.num_classes > 0) c.pool.global_pool = "cls_avg";
  take_hf_preprocessing(
      files, type.starts_with("vit") || type == "dpt" ? kAroundHalf : kImageNetScale, info);
  return model;
}

WrittenModel write_hf_dinov2(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  constexpr std::string_view kOthers[] = {"embeddings.distillation_token",
                                          "encoder.layer.#.layernorm_",
                                          "encoder.layer.#.intermediate",
                                          "encoder.layer.#.output.dense",
                                          "cls_classifier",
                                          "encoder.layer.#.mlp.weights"};
  const ViTConfig& c = info.config;
  // The last are of a gated MLP.
  const std::span others(kOthers, std::size(kOthers) - (c.mlp.swiglu ? 1 : 0));
  WrittenModel model{renamed_back(table, {.rules = kRules, .others = others})};
  model.tensors.push_back({"embeddings.mask_token", {1, c.embed_dim}, {}});
  nlohmann::ordered_json json = hf_config(c, "dinov2", "Dinov2Model");
  json.erase("intermediate_size");
  json.update({{"mlp_ratio", 4},
               {"qkv_bias", c.attention.qkv_bias},
               {"layerscale_value", c.init_values},
               {"use_swiglu_ffn", c.mlp.swiglu}});
  model.texts = hf_texts(json, info.pp_eval, "BitImageProcessor");
  return model;
}

}  // namespace vit22b
