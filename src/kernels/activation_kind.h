#pragma once

namespace vit22b {

/// An MLP's activation: the GELU x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) of the paper, or
/// x/2 (1 + erf(x / sqrt 2)) of many imported checkpoints; OpenAI CLIP's x s(1.702 x), and the SiLU
/// x s(x) of gated MLPs, with the logistic function s.
///
/// The first two differ by at most 4.73e-4 per value, at x = -2.70.
enum class Activation { kGeluTanh, kGelu, kQuickGelu, kSilu };

/// What stands before x in the logistic function of the last two.
constexpr float logistic_slope(Activation activation) {
  return activation == Activation::kQuickGelu ? 1.702F : 1.0F;
}

}  // namespace vit22b
