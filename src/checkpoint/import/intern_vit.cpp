#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"intern_vit_6b"};  // of the 300M too
constexpr std::string_view kPrefixes[] = {"vision_model.", "embeddings."};
constexpr NameRule kRules[] = {
    {"class_embedding", "cls_token"},
    {"patch_embedding.", "patch_embed.proj."},
    {"position_embedding", "pos_embed"},
    {"encoder.layers.#.ls1", "blocks.#.ls1.gamma"},
    {"encoder.layers.#.ls2", "blocks.#.ls2.gamma"},
    {"encoder.layers.#.", "blocks.#."},
};

}  // namespace

bool is_intern_vit(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_intern_vit(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, kRules}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config, {.heads = 25, .image = {224, 224}}, info);
  c.tokens.no_embed_class = false;
  take_hf_preprocessing(files, kImageNetScale, info);
  return model;
}

}  // namespace vit22b
