#pragma once
#include <ATen/core/Tensor.h>

#include <span>

#include "core/rng.h"
#include "kernels/part_layout.h"

namespace vit22b {

/// The random words that round a tensor: element i of the whole takes rng.bits(i), whoever has it.
struct RoundingBits {
  CounterRng rng;
  PartLayout layout = {};

  /// The words of elements first, first + 1, … of the part.
  void fill(std::span<uint32_t> out, int64_t first) const;
};

/// Stochastic rounding to bfloat16: up with the probability of what truncation would lose, so that
/// the expected value is x.
///
/// An element takes the low 16 bits of its word; zeros, infinities and NaN are kept.
///
/// x        float32, on the CPU or moved there
/// returns  bfloat16, shape and device of x
/// source   DESIGN 6; Gupta et al. 2015 (arXiv 1502.02551) 3
at::Tensor round_stochastically(const at::Tensor& x, const RoundingBits& bits);

}  // namespace vit22b
