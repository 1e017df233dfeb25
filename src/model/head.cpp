#include "model/head.h"

#include "core/rng.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr double kLeastScale = 1e-3;  // edward2's MIN_SCALE_MONTE_CARLO

at::Tensor normal_numbers(const NoiseKey& key, const char* name, int64_t samples, int64_t count) {
  at::Tensor numbers = at::empty({samples, count}, at::kFloat);
  const std::string moment = key.step < 0 ? "evaluation" : concat("step ", key.step);
  CounterRng(key.seed, "head noise", concat(name, " ", moment))
      .fill_normal({numbers.data_ptr<float>(), static_cast<size_t>(numbers.numel())}, 0);
  return numbers;
}

}  // namespace

Link link_of(const PlexConfig& plex) {
  return plex.head_link == "sigmoid" ? Link::kSigmoid : Link::kSoftmax;
}

LogitNoise head_noise(const ViTConfig& c, const NoiseKey& key, c10::Device device) {
  const PlexConfig& plex = c.plex;
  LogitNoise noise;
  // The copies wait for a GPU, at the end of a forward pass.
  if (plex.head_factors > 0)
    noise.factors_SK =
        normal_numbers(key, "factors", plex.head_samples, plex.head_factors).to(device);
  noise.classes_SC = normal_numbers(key, "classes", plex.head_samples, c.num_classes).to(device);
  return noise;
}

at::Tensor classify(const ModelContext& context, const Layers& layers,
                    const at::Tensor& pooled_BD) {
  const ViTConfig& c = context.config;
  // Of the class token and the mean side by side a rank of a model axis has features of both.
  at::Tensor logits_BC = c.pooled_dim() == c.embed_dim ? layers.rows("head", pooled_BD)
                                                       : layers.rows_of_halves("head", pooled_BD);
  if (!c.plex.is_heteroscedastic()) return logits_BC;
  NoisyLogits noisy{.mean_BC = logits_BC, .factors_BCK = {}, .scale_BC = {}};
  if (c.plex.head_factors > 0)
    noisy.factors_BCK =
        layers.rows("head.factors", pooled_BD).unflatten(-1, {c.num_classes, c.plex.head_factors});
  noisy.scale_BC = at::softplus(layers.rows("head.diag", pooled_BD)) + kLeastScale;
  return mean_logits(noisy, head_noise(c, context.noise, pooled_BD.device()),
                     c.plex.head_temperature, link_of(c.plex));
}

}  // namespace vit22b
