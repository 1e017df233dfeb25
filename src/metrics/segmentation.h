#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "metrics/interval.h"

namespace vit22b::metrics {

/// How pixels were classified: of each class, those that it has, that are taken for it, and both.
struct PixelCounts {
  std::vector<int64_t> both, truth, predicted;

  explicit PixelCounts(int64_t num_classes = 0)
      : both(static_cast<size_t>(num_classes)), truth(both), predicted(both) {}
  int64_t num_classes() const { return static_cast<int64_t>(both.size()); }
  int64_t pixels() const;
  void add(const PixelCounts& other);
};

/// Counts one picture. Pixels whose truth is below 0 count for nothing, whatever is said of them.
///
/// predicted, truth  [H, W] int32; predicted of 0 to num_classes - 1
/// throws            InternalError for other sizes or a class that is not there
PixelCounts count_pixels(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                         int64_t num_classes);

/// The same of boundaries alone: pixels of a class within d of one that is not of it, or of the
/// picture's edge, d 2 % of the diagonal and at least 1, in steps to the eight neighbours. A pixel
/// counts as both where it is on either map's boundary of that class.
///
/// source  Cheng et al. 2021 (Boundary IoU, arXiv 2103.16562), over classes instead of objects
PixelCounts count_boundaries(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                             int64_t num_classes);

/// Intersection over union of each class; NaN for one that neither has.
std::vector<double> iou_per_class(const PixelCounts& counts);
/// 2 both / (truth + predicted); NaN likewise.
std::vector<double> dice_per_class(const PixelCounts& counts);
/// Share of each class's pixels that are right; NaN for a class without pixels.
std::vector<double> accuracy_per_class(const PixelCounts& counts);
/// Share of all pixels that are right; NaN for none.
double pixel_accuracy(const PixelCounts& counts);
/// The mean of the values that are no NaN; NaN for none.
double mean_of_defined(const std::vector<double>& values);

/// The mean IoU's interval over 1,000 resamples of whole pictures, each summed up anew.
Interval mean_iou_interval(const std::vector<PixelCounts>& pictures, uint64_t seed);

}  // namespace vit22b::metrics
