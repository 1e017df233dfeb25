#pragma once

namespace vit22b {

/// An MLP's activation: the GELU x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) of the paper, or
/// x/2 (1 + erf(x / sqrt 2)) of many imported checkpoints.
///
/// The two differ by at most 4.73e-4 per value, at x = -2.70.
enum class Activation { kGeluTanh, kGelu };

}  // namespace vit22b
