#include "metrics/calibration.h"

#include <cmath>
#include <limits>

namespace vit22b::metrics {

std::vector<CalibrationBin> calibration_bins(const at::Tensor& logits_NC,
                                             const at::Tensor& labels_N, int64_t num_bins) {
  const auto [confidence, prediction] = at::softmax(logits_NC.to(at::kDouble), 1).max(1);
  // A row without a probability is wrong with none.
  const at::Tensor confidences = confidence.nan_to_num(0).cpu().contiguous();
  const at::Tensor is_right = prediction.eq(labels_N)
                                  .logical_and(confidence.isnan().logical_not())
                                  .to(at::kByte)
                                  .cpu()
                                  .contiguous();
  std::vector<CalibrationBin> bins(static_cast<size_t>(num_bins));
  for (int64_t i = 0; i < confidences.numel(); ++i) {
    const double p = confidences.const_data_ptr<double>()[i];
    const auto index =
        std::min(num_bins - 1, static_cast<int64_t>(p * static_cast<double>(num_bins)));
    CalibrationBin& bin = bins.at(static_cast<size_t>(index));
    ++bin.count;
    bin.accuracy += is_right.const_data_ptr<uint8_t>()[i];
    bin.confidence += p;
  }
  for (CalibrationBin& bin : bins) {
    if (bin.count == 0) continue;
    bin.accuracy /= static_cast<double>(bin.count);
    bin.confidence /= static_cast<double>(bin.count);
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
