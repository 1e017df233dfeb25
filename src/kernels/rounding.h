#pragma once
#include <ATen/core/Tensor.h>

#include "core/rng.h"

namespace vit22b {

/// Stochastic rounding to bfloat16: up with the probability of what truncation would lose, so that
/// the expected value is x.
///
/// Element i takes the low 16 of rng.bits(i); zeros, infinities and NaN are kept.
///
/// x        float32, on the CPU or moved there
/// returns  bfloat16, shape and device of x
/// source   DESIGN 6; Gupta et al. 2015 (arXiv 1502.02551) 3
at::Tensor round_stochastically(const at::Tensor& x, const CounterRng& rng);

}  // namespace vit22b
