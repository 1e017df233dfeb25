#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "core/fields.h"

namespace vit22b {

/// How a dense head's scores become depths: in metres, or of output=relative as numbers that are
/// the larger the nearer, straight lines over 1 / depth without a unit.
struct DepthOutput {
  std::string output = "bins";  ///< "bins", "log", "metres", "sigmoid", "relative"; or "auto"
  int64_t bins = 256;           ///< of output=bins
  double min_depth = 0.001, max_depth = 10;
  /// Places a patch's side has, between which scores of patches are interpolated.
  int64_t upsample = 4;

  /// The options, as a config has them.
  void fields(FieldVisitor& visitor);
  /// throws  UsageError for a value out of range, and for output=auto
  void check() const;
  /// The same with what output=auto is of a head: bins, of which one at each pixel would be slow,
  /// so log of a head of pixels.
  DepthOutput of(bool is_head_of_pixels) const;
  /// Scores that a place needs of the head.
  int64_t num_scores() const { return output == "bins" ? bins : 1; }
  bool is_relative() const { return output == "relative"; }
  /// "metres", or what relative numbers are.
  std::string unit() const;

  /// Depths of places; differentiable.
  ///
  /// output=bins: bins evenly from min_depth to max_depth, weighted by ReLU(score) + 0.1 over their
  /// sum. output=log: the score is ln(1 + depth). output=metres: ReLU(score) + min_depth.
  /// output=sigmoid: sigmoid(score) * max_depth. output=relative: ReLU(score). But for bins and
  /// sigmoid they are not brought into the bounds.
  ///
  /// scores_BHWC  [B, h, w, num_scores] float32
  /// are_fine     scores are of pixels already: no place is put between them
  /// returns      [B, h * upsample, w * upsample]; of fine ones [B, h, w]
  /// source       facebookresearch/dinov2 eval/depth/models/decode_heads (UD bins, linear norm;
  ///              metres); Dehghani et al. 2023 (arXiv 2302.05442), 4.3.2, for ln(1 + depth);
  ///              DepthAnything/Depth-Anything-V2 for the last two
  at::Tensor depths(const at::Tensor& scores_BHWC, bool are_fine = false) const;
  /// Depths within the bounds; relative ones are 0 at least.
  at::Tensor bounded(const at::Tensor& depths) const;
};

}  // namespace vit22b
