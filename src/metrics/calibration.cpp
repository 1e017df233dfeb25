#include "metrics/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vit22b::metrics {

void count_into(std::span<BinSums> bins, const Answer& answer) {
  const auto place = static_cast<size_t>(answer.confidence * static_cast<double>(bins.size()));
  BinSums& bin = bins[std::min(bins.size() - 1, place)];
  ++bin.count;
  bin.right += answer.is_right() ? 1 : 0;
  bin.confidence += answer.confidence;
}

std::vector<CalibrationBin> calibration_bins(std::span<const BinSums> sums) {
  std::vector<CalibrationBin> bins;
  for (const BinSums& sum : sums) {
    const double count = std::max(1.0, sum.count);
    bins.push_back({std::llround(sum.count), sum.right / count, sum.confidence / count});
  }
  return bins;
}

double expected_calibration_error(const std::vector<CalibrationBin>& bins) {
  double total = 0, error = 0;
  for (const CalibrationBin& bin : bins) {
    total += static_cast<double>(bin.count);
    error += static_cast<double>(bin.count) * std::abs(bin.accuracy - bin.confidence);
  }
  return total > 0 ? error / total : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace vit22b::metrics
