#include <array>

#include "checkpoint/container/tensor_container.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/given.h"
#include "checkpoint/import/timm_map.h"
#include "core/error.h"
#include "model/sequence.h"

// State dicts of the authors' own files, which no config says anything about.
namespace vit22b {
namespace {

constexpr std::string_view kPrefixes[] = {"module.", "teacher.", "backbone.", "encoder."};

constexpr NameRule kDinov2Rules[] = {
    {"register_tokens", "reg_token"},
    {"mask_token", ""},
    {"blocks.#.#.mlp.w12.", "blocks.#.mlp.fc1."},  // blocks in chunks, as training wrote them
    {"blocks.#.#.mlp.w3.", "blocks.#.mlp.fc2."},
    {"blocks.#.#.", "blocks.#."},
    {"blocks.#.mlp.w12.", "blocks.#.mlp.fc1."},
    {"blocks.#.mlp.w3.", "blocks.#.mlp.fc2."},
};

constexpr NameRule kDinov3Rules[] = {
    {"storage_tokens", "reg_token"},
    {"mask_token", ""},
    {"rope_embed.periods", ""},  // made again from theta
    {"local_cls_norm.", ""},
    {"blocks.#.attn.qkv.bias_mask", ""},
    {"blocks.#.attn.qkv.bias", "blocks.#.attn.qkv.bias", 0, 1, Change::kKeysZeroed},
    {"blocks.#.mlp.w1.", "blocks.#.mlp.fc1.", 0, 2},
    {"blocks.#.mlp.w2.", "blocks.#.mlp.fc1.", 1, 2},
    {"blocks.#.mlp.w3.", "blocks.#.mlp.fc2."},
};

// DINO, DeiT, DeiT-III, MAE, I-JEPA, and timm's state dicts.
constexpr NameRule kPlainRules[] = {
    {"mask_token", ""},
    {"decoder_", ""},
    {"decoder_blocks.", ""},
    {"dist_token", "reg_token"},
    {"head_dist.", ""},
    {"blocks.#.gamma_1", "blocks.#.ls1.gamma"},
    {"blocks.#.gamma_2", "blocks.#.ls2.gamma"},
};

bool has(const ImportFiles& files, std::string_view ending) {
  for (const std::string& name : files.names)
    if (name.ends_with(ending) &&
        (name.size() == ending.size() || name[name.size() - ending.size() - 1] == '.'))
      return true;
  return false;
}

Imported begin(const ImportFiles& files, RenamedTensors tensors, const char* name) {
  ModelInfo info;
  info.config = config_of_shapes(tensors, files.config_place);
  info.config.name = name;
  take_heads(files, info);
  take_square_image(tensors, info.config);
  return {info, std::move(tensors)};
}

// The file's wavelengths are theta's, or those rounded to bfloat16, as the published files have
// them.
void take_periods(const ImportFiles& files, const TensorContainer& weights, ViTConfig& c) {
  constexpr double kBound = 1e-6;
  for (const std::string& name : weights.names()) {
    if (!name.ends_with("rope_embed.periods")) continue;
    const at::Tensor periods = weights.load(name).to(at::kFloat).flatten();
    for (const bool is_rounded : {false, true}) {
      c.rotary.rope_bf16 = is_rounded;
      const at::Tensor known = rotary_periods(c.rotary, periods.numel());
      if (((periods - known) / known).abs().max().item<double>() < kBound) return;
    }
    throw CheckpointError(files.config_place, ": '", name,
                          "' has other wavelengths than those of theta 100");
  }
}

}  // namespace

bool is_dinov2(const ImportFiles& files) {
  return has(files, "cls_token") && has(files, "patch_embed.proj.weight") &&
         ((has(files, "mask_token") && has(files, "ls1.gamma")) || has(files, "mlp.w12.weight") ||
          has(files, "register_tokens"));
}

Imported read_dinov2(const ImportFiles& files, const TensorContainer& weights) {
  RenamedTensors tensors(weights, kPrefixes, kDinov2Rules);
  const bool has_registers = tensors.contains("reg_token");
  if (has_registers) tensors.fold_class_position();
  Imported model = begin(files, std::move(tensors), "dinov2");
  ViTConfig& c = model.info.config;
  c.tokens.no_embed_class = has_registers;
  c.tokens.posemb_resize = has_registers ? "bicubic_antialias" : "dinov2";
  if (c.mlp.swiglu) c.mlp.act_layer = "silu";
  for (const char* field : {"posemb_resize", "act_layer", "norm_eps"})
    note_origin(model.info, field, "DINOv2's code");
  take_pixels(kImageNetScale, /*is_squashed=*/false, model.info);
  return model;
}

bool is_dinov3(const ImportFiles& files) {
  return has(files, "storage_tokens") || has(files, "rope_embed.periods");
}

Imported read_dinov3(const ImportFiles& files, const TensorContainer& weights) {
  Imported model = begin(files, {weights, kPrefixes, kDinov3Rules}, "dinov3");
  ViTConfig& c = model.info.config;
  c.norm.norm_eps = 1e-5;
  c.rotary = {.rope = "centre", .rope_theta = 100, .rope_half = true};
  take_periods(files, weights, c);
  c.img_size = {256 / c.patch_size * c.patch_size, 256 / c.patch_size * c.patch_size};
  if (c.mlp.swiglu) c.mlp.act_layer = "silu";
  for (const char* field : {"rope", "rope_theta", "act_layer", "norm_eps"})
    note_origin(model.info, field, "DINOv3's code");
  take_pixels(kImageNetScale, /*is_squashed=*/true, model.info);
  return model;
}

bool is_plain_state(const ImportFiles& files) {
  return has(files, "blocks.0.attn.qkv.weight") && has(files, "patch_embed.proj.weight") &&
         files.names.count("visual.patch_embed.proj.weight") == 0;
}

Imported read_plain_state(const ImportFiles& files, const TensorContainer& weights) {
  RenamedTensors tensors(weights, kPrefixes, kPlainRules);
  leave_distilled_heads(weights, tensors);
  Imported model = begin(files, std::move(tensors), "vit");
  for (const char* field : {"norm_eps", "act_layer", "posemb_resize"})
    note_origin(model.info, field,
                "plain vision transformers' code (DINO, DeiT, MAE, I-JEPA, timm)");
  take_pixels(kImageNetScale, /*is_squashed=*/false, model.info);
  return model;
}

}  // namespace vit22b
