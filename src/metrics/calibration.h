#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace vit22b::metrics {

/// One bin of a reliability diagram.
struct CalibrationBin {
  int64_t count = 0;
  double accuracy = 0;
  double confidence = 0;
};

/// Equal-width bins of the largest softmax probability: bin = floor(bins * p), p = 1 in the last; a
/// row with a NaN is wrong, with confidence 0.
///
/// source  robustness_metrics uncertainty.py, half-open bins
std::vector<CalibrationBin> calibration_bins(const at::Tensor& logits_NC,
                                             const at::Tensor& labels_N, int64_t num_bins);

/// Expected calibration error, sum over bins of n_b / N |accuracy - confidence|; NaN for no rows.
double expected_calibration_error(const std::vector<CalibrationBin>& bins);

}  // namespace vit22b::metrics
