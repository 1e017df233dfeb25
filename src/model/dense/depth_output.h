#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "core/fields.h"

namespace vit22b {

/// How a dense head's scores become depths, in metres.
struct DepthOutput {
  std::string output = "bins";  ///< "bins" or "log"
  int64_t bins = 256;           ///< of output=bins
  double min_depth = 0.001, max_depth = 10;
  int64_t upsample = 4;  ///< places a patch's side has, between which scores are interpolated

  /// The options, as a config has them.
  void fields(FieldVisitor& visitor);
  /// throws  UsageError for a value out of range
  void check() const;
  /// Scores that a place needs of the head.
  int64_t num_scores() const { return output == "bins" ? bins : 1; }

  /// Depths of places; differentiable.
  ///
  /// output=bins: bins evenly from min_depth to max_depth, weighted by ReLU(score) + 0.1 over their
  /// sum. output=log: the score is ln(1 + depth); not brought into the bounds.
  ///
  /// scores_BHWC  [B, h, w, num_scores] float32 of the patches
  /// returns      [B, h * upsample, w * upsample]
  /// source       facebookresearch/dinov2 eval/depth/models/decode_heads (UD bins, linear norm);
  ///              Dehghani et al. 2023 (arXiv 2302.05442), 4.3.2, for ln(1 + depth)
  at::Tensor depths(const at::Tensor& scores_BHWC) const;
  /// Depths within the bounds.
  at::Tensor bounded(const at::Tensor& depths) const;
};

}  // namespace vit22b
