#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// How logits become probabilities: over the classes together, or of each class by itself.
enum class Link { kSoftmax, kSigmoid };

/// Normal distributions of logits, one an image: mean + factors ε + scale ⊙ ε'.
struct NoisyLogits {
  at::Tensor mean_BC;
  at::Tensor factors_BCK;  ///< undefined for none
  at::Tensor scale_BC;
};

/// Standard normal numbers, the same for every image.
struct LogitNoise {
  at::Tensor factors_SK;  ///< undefined for none
  at::Tensor classes_SC;  ///< or [S, 1]: one number for all classes of a sample
};

/// Logits whose probabilities are the mean of those of noisy logits over the temperature.
///
/// Probabilities are kept above 1e-7, of the sigmoid below 1 - 1e-7 too. Images and samples go in
/// pieces, forward and backward, so that no tensor of all samples and classes is kept.
/// Differentiable in what the distributions are made of.
///
/// returns  [B, C] float32: the mean's logarithm, of the sigmoid its inverse
/// source   Collier et al. 2021 (arXiv 2105.10305); edward2 MCSoftmaxDenseFA, MCSigmoidDenseFA;
///          oracle tests/oracle/plex.safetensors
at::Tensor mean_logits(const NoisyLogits& logits, const LogitNoise& noise, double temperature,
                       Link link);

/// Logits whose probabilities are the mean over an ensemble's members. Differentiable.
///
/// logits_NC  of member after member, each with as many images
/// returns    [N / members, C] float32
/// source     uncertainty-baselines vit_heteroscedastic_gp_be: log_average_softmax_probs
at::Tensor mean_over_members(const at::Tensor& logits_NC, int64_t members, Link link);

}  // namespace vit22b
