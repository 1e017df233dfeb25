#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "metrics/answers.h"

namespace vit22b::metrics {

/// One bin of a reliability diagram.
struct CalibrationBin {
  int64_t count = 0;
  double accuracy = 0;
  double confidence = 0;
};

/// A bin in the making; the sums of batches and of ranks add up.
struct BinSums {
  double count = 0, right = 0, confidence = 0;
};

/// Counts an answer into one of equal-width bins of the confidence: bin = floor(bins * p), p = 1 in
/// the last; a row with a NaN is wrong, with confidence 0.
///
/// source  robustness_metrics uncertainty.py, half-open bins
void count_into(std::span<BinSums> bins, const Answer& answer);

/// The means of the bins.
std::vector<CalibrationBin> calibration_bins(std::span<const BinSums> sums);

/// Expected calibration error, sum over bins of n_b / N |accuracy - confidence|; NaN for no rows.
double expected_calibration_error(const std::vector<CalibrationBin>& bins);

}  // namespace vit22b::metrics
