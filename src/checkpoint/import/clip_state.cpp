#include <algorithm>

#include "checkpoint/import/clip_names.h"
#include "checkpoint/import/clip_words.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/given.h"
#include "core/error.h"

// CLIP's names without a config: OpenAI's TorchScript files, and Meta's Perception Encoder.
namespace vit22b {
namespace {

constexpr std::string_view kModule[] = {"module."};
constexpr int64_t kOpenAiHead = 64;  // features a head, in both towers

bool has(const ImportFiles& files, const char* name) {
  return files.names.count(name) != 0;
}

bool is_openai(const ImportFiles& files) {
  return has(files, "input_resolution") || files.part.find("TorchScript") != std::string::npos;
}

// Widths of the published Perception Encoders and their heads (core/vision_encoder/config.py).
void take_pe_heads(const ImportFiles& files, ModelInfo& info) {
  constexpr int64_t kGigantic = 1536, kGiganticHeads = 16;
  if (info.config.embed_dim != kGigantic || is_given(files, "num_heads"))
    return take_heads(files, info);
  info.config.num_heads = kGiganticHeads;
  note_origin(info, "num_heads", "the published Perception Encoders of this width");
}

void take_perception_encoder(const ImportFiles& files, ModelInfo& info) {
  constexpr int64_t kPoolHeads = 8;
  ViTConfig& c = info.config;
  c.name = "perception_encoder";
  take_pe_heads(files, info);
  c.rotary = {.rope = "index", .rope_xy = true, .rope_offset = c.tokens.class_token ? 1.0 : 0.0};
  c.tokens.posemb_resize = "bilinear";
  if (c.pool.global_pool == "map") {
    c.pool.pool_heads = kPoolHeads;
    c.pool.pool_include_prefix = true;
    c.pool.pool_act = "gelu";
  } else {
    c.pool.global_pool = "none";
  }
  for (const char* field : {"act_layer", "norm_eps", "rope", "posemb_resize", "pool_heads"})
    note_origin(info, field, "Perception Encoder's code");
  take_pixels(kAroundHalf, /*is_squashed=*/true, info);
}

void take_openai(const ImportFiles& files, ModelInfo& info) {
  ViTConfig& c = info.config;
  c.name = "clip";
  if (!is_given(files, "num_heads")) c.num_heads = std::max<int64_t>(1, c.embed_dim / kOpenAiHead);
  c.mlp.act_layer = "quick_gelu";
  for (const char* field : {"act_layer", "norm_eps", "num_heads"})
    note_origin(info, field, "OpenAI's CLIP code");
  take_pixels(kClipScale, /*is_squashed=*/false, info);
}

// What of CLIP's names neither OpenAI nor Meta wrote: open_clip's state dicts say no activation.
void check_given(const ImportFiles& files, std::initializer_list<const char*> fields) {
  const bool are_given = std::all_of(fields.begin(), fields.end(),
                                     [&](const char* field) { return is_given(files, field); });
  if (!are_given)
    throw CheckpointError(
        files.config_place,
        " has CLIP's names, and nothing says whose: with open_clip's its open_clip_config.json, "
        "or model.act_layer=gelu (or quick_gelu) and model.rope=none; with Perception Encoder's "
        "lang and spatial models model.act_layer=gelu model.rope=index behind the checkpoint");
}

void take_others(const ImportFiles& files, ModelInfo& info) {
  check_given(files, {"act_layer", "rope"});
  if (given_word(files, "rope") == "index") return take_perception_encoder(files, info);
  info.config.name = "clip";
  take_heads(files, info);
  take_pixels(kClipScale, /*is_squashed=*/false, info);
}

}  // namespace

bool is_clip_state(const ImportFiles& files) {
  return has(files, "visual.conv1.weight") || has(files, "module.visual.conv1.weight") ||
         (has(files, "conv1.weight") && has(files, "transformer.resblocks.0.ln_1.weight"));
}

Imported read_clip_state(const ImportFiles& files, const TensorContainer& weights) {
  const std::string_view prefix = has(files, "visual.conv1.weight")          ? "visual."
                                  : has(files, "module.visual.conv1.weight") ? "module.visual."
                                                                             : "";
  RenamedTensors tensors(
      weights, kModule, kClipRules,
      {prefix, prefix.empty() ? std::span<const std::string_view>() : kClipText});
  tensors.make("patch_embed.proj.bias", made_zeros);
  ModelInfo info;
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  c.norm.norm_eps = 1e-5;
  c.tokens.no_embed_class = false;
  take_square_image(tensors, c);
  take_projection(tensors, c);
  if (tensors.contains("attn_pool.latent"))
    take_perception_encoder(files, info);
  else if (is_openai(files))
    take_openai(files, info);
  else
    take_others(files, info);
  return {info, tensors};
}

Imported read_clip_state_text(const ImportFiles& files, const TensorContainer& weights) {
  Imported model = read_clip_words(files, weights);
  take_words_heads(files, model.info);
  const bool is_metas = has(files, "visual.attn_pool.probe");
  if (is_openai(files)) {
    model.info.config.mlp.act_layer = "quick_gelu";
  } else if (!is_metas) {
    check_given(files, {"act_layer"});
    model.info.config.mlp.act_layer = given_word(files, "act_layer");
  }
  note_origin(model.info, "act_layer",
              is_openai(files) ? "OpenAI's CLIP code"
              : is_metas       ? "Perception Encoder's code"
                               : "given");
  return model;
}

}  // namespace vit22b
