#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"tipsv2", "tipsv2_vision_model"};
constexpr std::string_view kPrefixes[] = {"vision_encoder.", "vision_model."};
constexpr NameRule kRules[] = {
    {"register_tokens", "reg_token"},
    {"mask_token", ""},
    {"blocks.#.mlp.w12.", "blocks.#.mlp.fc1."},
    {"blocks.#.mlp.w3.", "blocks.#.mlp.fc2."},
    {"text_encoder.", ""},
    {"logit_scale", ""},
};

}  // namespace

bool is_hf_tips(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_tips(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, kRules}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  if (tensors.contains("reg_token")) tensors.fold_class_position();
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config, {.image = {448, 448}, .posemb_resize = "bilinear_antialias"},
                info);
  c.tokens.no_embed_class = c.tokens.reg_tokens > 0;
  if (c.mlp.swiglu) c.mlp.act_layer = "silu";
  take_hf_preprocessing(files, kBytesToOne, info);
  return model;
}

}  // namespace vit22b
