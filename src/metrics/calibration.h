#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "metrics/answers.h"
#include "metrics/interval.h"

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

/// What calibration knows of an answer: how sure it was, and whether it was right.
struct Judged {
  double confidence = 0;
  double right = 0;  ///< 1 or 0, or of several answers a share
};

/// Answers by confidence, the least sure first, so that no number depends on the order they came
/// in: those of equal confidence all get the share of right ones among them.
std::vector<Judged> by_confidence(std::vector<Judged> answers);

/// Equal-width bins, as count_into makes them.
std::vector<CalibrationBin> equal_width_bins(std::span<const Judged> answers, int64_t num_bins);

/// Bins of as many answers each, one more or less: bin b has those from floor(b N / bins) on.
///
/// sorted  by by_confidence
/// source  the "adaptive" bins of Nixon et al. 2019; with 100 of them as in Minderer et al. 2021
std::vector<CalibrationBin> equal_mass_bins(std::span<const Judged> sorted, int64_t num_bins);

/// Calibration error over as many equal-mass bins as there can be while each bin's accuracy is at
/// least that of the bin before it, at most 4,096.
///
/// sorted  by by_confidence
/// source  Roelofs et al. 2022, ECE_SWEEP with the L1 norm
struct SweptError {
  double error = 0;
  int64_t num_bins = 0;
};
SweptError sweep_calibration_error(std::span<const Judged> sorted);

/// What a number of calibration would read of answers that are right exactly as often as they say,
/// with as many samples: drawn anew, right with the chance that each confidence gives.
struct CalibrationFloor {
  double mean = 0;
  Interval range;  ///< of 95 % of the draws
};

/// Of an equal-width and of an equal-mass error, and for each equal-width bin between which
/// accuracies 95 % of the draws lie; NaN for bins without an answer.
///
/// sorted  by by_confidence
/// seed    of the draws, of which there are 200
struct PerfectCalibration {
  CalibrationFloor equal_width, equal_mass;
  std::vector<Interval> bands;
};
PerfectCalibration perfect_calibration(std::span<const Judged> sorted, int64_t width_bins,
                                       int64_t mass_bins, uint64_t seed);

}  // namespace vit22b::metrics
