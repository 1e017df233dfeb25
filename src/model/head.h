#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/mean_probability.h"
#include "model/context.h"
#include "model/layers.h"

namespace vit22b {

/// How a config's samples and members become probabilities.
Link link_of(const PlexConfig& plex);

/// The noise of a heteroscedastic head, which all images of all ranks share: results depend on no
/// batch. Evaluations have the same noise always, training steps each their own.
///
/// Element [s, n] of either tensor is the normal number s N + n of the generator keyed by the seed,
/// with the stream "head noise" and the name "factors" or "classes" and the step.
LogitNoise head_noise(const ViTConfig& config, const NoiseKey& key, c10::Device device);

/// A classifier's logits: x W^T + b; of a heteroscedastic head those of the mean probability under
/// noise, factors V = x W_f^T + b_f, scale softplus(x W_d^T + b_d) + 1e-3.
///
/// pooled_BD  float32
/// returns    [B, C] float32, on a model axis this rank's classes
/// source     mean_logits
at::Tensor classify(const ModelContext& context, const Layers& layers, const at::Tensor& pooled_BD);

}  // namespace vit22b
