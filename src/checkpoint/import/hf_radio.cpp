#include "checkpoint/container/tensor_container.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/hf.h"
#include "core/error.h"

namespace vit22b {
namespace {

constexpr std::string_view kTypes[] = {"radio"};
constexpr std::string_view kPrefixes[] = {"radio_model.", "model.", "patch_generator."};
constexpr NameRule kRules[] = {
    {"embedder.", "patch_embed.proj."},
    {"blocks.#.layer_scale1.lambda1", "blocks.#.ls1.gamma"},
    {"blocks.#.layer_scale2.lambda1", "blocks.#.ls2.gamma"},
    {"video_embedder.", ""},
    {"summary_idxs", ""},
    {"input_conditioner.", ""},
};

/// The file's own scale of pixels from 0 to 1, [3] each; nothing where it has none.
struct Conditioner {
  at::Tensor mean_C, stddev_C;
};
Conditioner conditioner_of(const TensorContainer& weights) {
  Conditioner found;
  for (const std::string& name : weights.names()) {
    at::Tensor* target = name.ends_with("input_conditioner.norm_mean")  ? &found.mean_C
                         : name.ends_with("input_conditioner.norm_std") ? &found.stddev_C
                                                                        : nullptr;
    if (target != nullptr) *target = weights.load(name).to(at::kFloat).flatten();
  }
  return found;
}

// [D, C * P * P] by channel.
at::Tensor by_channel(const at::Tensor& patches, const at::Tensor& values_C) {
  return patches.flatten(1).unflatten(1, {values_C.size(0), -1}) * values_C.view({1, -1, 1});
}

// W ((x - mean) / stddev) is W / stddev x - (W / stddev) mean: the model takes pixels from 0 to 1,
// as the family's own does.
void fold_conditioner(const Conditioner& c, RenamedTensors& tensors, const std::string& place) {
  const std::vector<int64_t> patches = tensors.shape("patch_embed.proj.weight");
  const int64_t channels = c.mean_C.defined() ? c.mean_C.numel() : 0;
  if (channels > 0 && c.stddev_C.defined() &&
      (patches.size() != 2 || patches[1] % channels != 0 || c.stddev_C.numel() != channels))
    throw CheckpointError(place, ": its input_conditioner is not of the patches' channels");
  if (!c.mean_C.defined() || !c.stddev_C.defined()) {
    tensors.make("patch_embed.proj.bias", made_zeros);
    return;
  }
  tensors.copy("patch_embed.proj.weight", "patch_embed.proj.bias", [c](const at::Tensor& weight) {
    return -by_channel(weight, c.mean_C / c.stddev_C).sum(at::IntArrayRef{1, 2});
  });
  tensors.change("patch_embed.proj.weight", [c](const at::Tensor& weight) {
    return by_channel(weight, c.stddev_C.reciprocal()).flatten(1);
  });
}

}  // namespace

bool is_hf_radio(const ImportFiles& files) {
  return is_hf(files, kTypes);
}

Imported read_hf_radio(const ImportFiles& files, const TensorContainer& weights) {
  Imported model{{}, {weights, kPrefixes, kRules}};
  auto& [info, tensors] = model;
  HfConfig config(files, info);
  tensors.split_prefix_tokens("cls_token.token");
  fold_conditioner(conditioner_of(weights), tensors, files.config_place);
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  take_hf_model(tensors, config, {.heads = 16, .posemb_resize = "radio"}, info);
  const int64_t side = config.integer("max_img_size", 2048, "img_size");
  c.img_size = {side, side};
  c.tokens.no_embed_class = true;
  take_hf_preprocessing(files, kBytesToOne, info);
  return model;
}

}  // namespace vit22b
