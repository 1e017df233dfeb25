#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace vit22b::metrics {

/// How often two observers of the same images are right and wrong together, beside how often
/// observers of their accuracies would be by chance.
///
/// source  Geirhos et al. 2020, "Beyond accuracy"; model-vs-human analyses.py
struct ErrorConsistency {
  double observed = 0;  ///< share of images on which both are right or both are wrong
  double expected = 0;  ///< p1 p2 + (1 - p1)(1 - p2)
  double kappa = 0;     ///< (observed - expected) / (1 - expected); 1 where observed is 1
};

/// is_right_1, is_right_2  of the same images, in the same order
/// returns                 NaN for no images
ErrorConsistency error_consistency(const std::vector<bool>& is_right_1,
                                   const std::vector<bool>& is_right_2);

/// Answers to images whose shape is one class's and whose texture is another's.
struct CueAnswers {
  int64_t shape = 0, texture = 0, other = 0;

  /// The share of shape among those that are one of the two; NaN where none is.
  double shape_bias() const;
};

/// The place of each value among all, from 1: the smallest, or the largest, first; equal ones share
/// the mean of their places, and what is not a number has none.
std::vector<double> ranks(std::span<const double> values, bool is_largest_first);

}  // namespace vit22b::metrics
