#include <algorithm>

#include "checkpoint/import/clip_names.h"
#include "checkpoint/import/clip_words.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/given.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr NameRule kRules[] = {
    {"rope.freqs_", ""},
    {"blocks.#.attn.rope.freqs_", ""},
    {"blocks.#.attn.q_bias", "blocks.#.attn.qkv.bias", 0, 3},
    {"blocks.#.attn.v_bias", "blocks.#.attn.qkv.bias", 2, 3},
    {"blocks.#.attn.q_proj.", "blocks.#.attn.qkv.", 0, 3},
    {"blocks.#.attn.k_proj.", "blocks.#.attn.qkv.", 1, 3},
    {"blocks.#.attn.v_proj.", "blocks.#.attn.qkv.", 2, 3},
    {"blocks.#.attn.inner_attn_ln.", "blocks.#.attn.norm."},
    {"blocks.#.gamma_1", "blocks.#.ls1.gamma"},
    {"blocks.#.gamma_2", "blocks.#.ls2.gamma"},
    {"blocks.#.mlp.ffn_ln.", "blocks.#.mlp.norm."},
    {"blocks.#.mlp.w1.", "blocks.#.mlp.fc1.", 0, 2},
    {"blocks.#.mlp.w2.", "blocks.#.mlp.fc1.", 1, 2},
    {"blocks.#.mlp.w3.", "blocks.#.mlp.fc2."},
};

/// The published models, whose norms stand before or behind the branches: EVA's model_configs.
struct Published {
  int64_t width, depth;
  bool has_post_norm;
};
constexpr Published kPublished[] = {{768, 12, false},  {1024, 24, false}, {1408, 40, false},
                                    {4096, 32, false}, {1792, 64, true},  {5120, 48, true}};
constexpr int64_t kReferenceSide = 16;  // pt_hw_seq_len of EVA02

void take_arrangement(const ImportFiles& files, ModelInfo& info) {
  ViTConfig& c = info.config;
  if (is_given(files, "post_norm")) return;
  const auto* known =
      std::find_if(std::begin(kPublished), std::end(kPublished),
                   [&](const auto& p) { return p.width == c.embed_dim && p.depth == c.depth; });
  if (known == std::end(kPublished))
    throw CheckpointError(files.config_place, ": an EVA-CLIP of width ", c.embed_dim, " and ",
                          c.depth,
                          " blocks is none of the published ones, and its files do not say whether "
                          "its norms follow the branches; add model.post_norm=true or false behind "
                          "the checkpoint");
  c.norm.post_norm = known->has_post_norm;
  note_origin(info, "post_norm", "the published EVA-CLIP of these sizes");
}

}  // namespace

bool is_eva_clip(const ImportFiles& files) {
  return files.names.count("visual.patch_embed.proj.weight") != 0;
}

Imported read_eva_clip(const ImportFiles& files, const TensorContainer& weights) {
  RenamedTensors tensors(weights, {}, kRules, {"visual.", kClipText});
  ModelInfo info;
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  c.name = "eva_clip";
  take_heads(files, info);
  c.tokens.no_embed_class = false;
  take_square_image(tensors, c);
  take_projection(tensors, c);
  take_arrangement(files, info);
  const bool is_rotary = std::any_of(files.names.begin(), files.names.end(), [](const auto& name) {
    return name.find("rope.freqs_") != std::string::npos;
  });
  if (is_rotary) c.rotary = {.rope = "index", .rope_ref = {kReferenceSide, kReferenceSide}};
  if (c.mlp.swiglu) c.mlp.act_layer = "silu";
  for (const char* field : {"act_layer", "norm_eps", "rope", "rope_ref"})
    note_origin(info, field, "EVA's code");
  take_pixels(kClipScale, /*is_squashed=*/false, info);
  return {info, tensors};
}

Imported read_eva_clip_text(const ImportFiles& files, const TensorContainer& weights) {
  Imported model = read_clip_words(files, weights);
  take_words_heads(files, model.info);
  note_origin(model.info, "act_layer", "EVA's code");
  return model;
}

}  // namespace vit22b
