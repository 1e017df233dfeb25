#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/attention_mask.h"
#include "kernels/rotary.h"
#include "model/config.h"

namespace vit22b {

/// What a batch's tokens are beside their values; every call of an engine gets it.
///
/// Prefix tokens (class token, registers) come first, then patches row by row, frame by frame; or
/// words alone. The same on every rank of a model axis.
struct Sequence {
  int64_t prefix_tokens = 0;
  int64_t frames = 1;
  int64_t grid_height = 0, grid_width = 0;  ///< patches of a frame; 0 for words
  AttentionMask mask;
  RotaryTables rotary;
  at::Tensor picked_B;  ///< of words: the one that each text is pooled to; undefined: the last
};

/// The wavelengths of a head's angles along a side over 2 pi, from 1 to nearly theta: [count]
/// float32; in "centre" a whole side is a half turn of the first.
at::Tensor rotary_periods(const RotaryConfig& config, int64_t count);

/// The sequence that embedding makes of images [B, C, H, W], whole multiples of the patch, or of
/// words [B, T].
Sequence sequence_of(const ViTConfig& config, const at::Tensor& input);

}  // namespace vit22b
