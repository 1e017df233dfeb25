#include "checkpoint/import/clip_names.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/given.h"

namespace vit22b {
namespace {

constexpr std::string_view kPrefixes[] = {"image_encoder.", "preprocessor.", "trunk."};
constexpr NameRule kRules[] = {
    {"patchifier.", "patch_embed."},
    {"post_trunk_norm.", "norm."},
    {"blocks.#.norm_1.", "blocks.#.norm1."},
    {"blocks.#.norm_2.", "blocks.#.norm2."},
    {"blocks.#.mlp.fc1.", "blocks.#.mlp.fc1.", 0, 2},  // the gate
    {"blocks.#.mlp.fc3.", "blocks.#.mlp.fc1.", 1, 2},
    {"head.cls_token", "attn_pool.latent"},
    {"head.k.", "attn_pool.kv.", 0, 2},
    {"head.v.", "attn_pool.kv.", 1, 2},
    {"head.linear.", "attn_pool.proj."},
    {"image_projector.", "head."},
};
constexpr std::string_view kText[] = {"text_encoder.", "text_projector.", "log_logit_scale"};
constexpr int64_t kHead = 128;  // features a head in each published size (aim/v2/torch/models.py)

}  // namespace

bool is_aimv2_state(const ImportFiles& files) {
  return files.names.count("preprocessor.patchifier.proj.weight") != 0 ||
         files.names.count("image_encoder.preprocessor.patchifier.proj.weight") != 0;
}

Imported read_aimv2_state(const ImportFiles& files, const TensorContainer& weights) {
  std::vector<NameRule> rules(std::begin(kRules), std::end(kRules));
  for (const std::string_view other : kText) rules.insert(rules.begin(), {other, ""});
  RenamedTensors tensors(weights, kPrefixes, rules);
  ModelInfo info;
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  c.name = "aimv2";
  if (c.embed_dim % kHead == 0)
    c.num_heads = c.embed_dim / kHead;
  else
    take_heads(files, info);
  c.norm.norm_eps = 1e-5;
  c.mlp.act_layer = "silu";
  if (!tensors.contains("pos_embed")) c.tokens.pos_embed = "sincos";
  take_square_image(tensors, c);
  if (c.pool.global_pool == "map") take_bare_pool(tensors, c);
  take_projection(tensors, c);
  for (const char* field : {"num_heads", "act_layer", "norm_eps"})
    note_origin(info, field, "AIMv2's code");
  take_pixels(kClipScale, /*is_squashed=*/false, info);
  return {info, tensors};
}

}  // namespace vit22b
