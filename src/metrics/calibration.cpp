#include "metrics/calibration.h"

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

constexpr int64_t kMostSweptBins = 4096;
constexpr int64_t kDraws = 200;

size_t place_of(double confidence, int64_t num_bins) {
  const auto place = static_cast<int64_t>(confidence * static_cast<double>(num_bins));
  return static_cast<size_t>(std::clamp<int64_t>(place, 0, num_bins - 1));
}

/// Sums over the answers before each, so that any bin's are a difference.
class PrefixSums {
 public:
  explicit PrefixSums(std::span<const Judged> sorted) {
    sums_.reserve(sorted.size() + 1);
    sums_.emplace_back();
    for (const Judged& answer : sorted)
      sums_.push_back(
          {sums_.back().confidence + answer.confidence, sums_.back().right + answer.right});
  }
  std::vector<CalibrationBin> bins(int64_t count) const {
    const int64_t all = std::ssize(sums_) - 1;
    std::vector<CalibrationBin> bins;
    for (int64_t b = 0; b < count; ++b) {
      const int64_t first = b * all / count, end = (b + 1) * all / count;
      const Judged& low = sums_[static_cast<size_t>(first)];
      const Judged& high = sums_[static_cast<size_t>(end)];
      const auto n = static_cast<double>(std::max<int64_t>(1, end - first));
      bins.push_back(
          {end - first, (high.right - low.right) / n, (high.confidence - low.confidence) / n});
    }
    return bins;
  }

 private:
  std::vector<Judged> sums_;
};

bool is_monotonic(const std::vector<CalibrationBin>& bins) {
  constexpr double kRounding = 1e-12;  // of the differences of sums
  for (size_t i = 1; i < bins.size(); ++i)
    if (bins[i].accuracy < bins[i - 1].accuracy - kRounding) return false;
  return true;
}

CalibrationFloor floor_of(const std::vector<double>& errors) {
  double sum = 0;
  for (const double error : errors) sum += error;
  return {sum / static_cast<double>(errors.size()), middle_of(errors)};
}

}  // namespace

void count_into(std::span<BinSums> bins, const Answer& answer) {
  BinSums& bin = bins[place_of(answer.confidence, std::ssize(bins))];
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
  return total > 0 ? error / total : kUndefined;
}

namespace {

// Of answers by confidence, those of equal confidence all get their mean.
void share_among_equals(std::vector<Judged>& answers) {
  for (auto first = answers.begin(); first != answers.end();) {
    const auto end = std::find_if(first, answers.end(), [&](const Judged& other) {
      return other.confidence != first->confidence;
    });
    double right = 0;
    for (auto it = first; it != end; ++it) right += it->right;
    for (auto it = first; it != end; ++it) it->right = right / static_cast<double>(end - first);
    first = end;
  }
}

}  // namespace

std::vector<Judged> by_confidence(std::vector<Judged> answers) {
  std::sort(answers.begin(), answers.end(),
            [](const Judged& a, const Judged& b) { return a.confidence < b.confidence; });
  share_among_equals(answers);
  return answers;
}

std::vector<CalibrationBin> equal_width_bins(std::span<const Judged> answers, int64_t num_bins) {
  std::vector<BinSums> sums(static_cast<size_t>(num_bins));
  for (const Judged& answer : answers) {
    BinSums& bin = sums[place_of(answer.confidence, num_bins)];
    ++bin.count;
    bin.right += answer.right;
    bin.confidence += answer.confidence;
  }
  return calibration_bins(sums);
}

std::vector<CalibrationBin> equal_mass_bins(std::span<const Judged> sorted, int64_t num_bins) {
  return PrefixSums(sorted).bins(num_bins);
}

SweptError sweep_calibration_error(std::span<const Judged> sorted) {
  const PrefixSums sums(sorted);
  const int64_t most = std::min(kMostSweptBins, std::ssize(sorted));
  int64_t count = 1;
  while (count < most && is_monotonic(sums.bins(count + 1))) ++count;
  return {expected_calibration_error(sums.bins(count)), count};
}

PerfectCalibration perfect_calibration(std::span<const Judged> sorted, int64_t width_bins,
                                       int64_t mass_bins, uint64_t seed) {
  const CounterRng rng(seed, "calibration", "floor");
  std::vector<double> of_width, of_mass;
  std::vector<std::vector<double>> accuracies(static_cast<size_t>(width_bins));
  std::vector<Judged> drawn(sorted.begin(), sorted.end());
  std::vector<float> uniform(sorted.size());
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    rng.fill_uniform(uniform, static_cast<uint64_t>(draw) * sorted.size());
    for (size_t i = 0; i < drawn.size(); ++i)
      drawn[i].right = uniform[i] < drawn[i].confidence ? 1 : 0;
    share_among_equals(drawn);
    const std::vector<CalibrationBin> bins = equal_width_bins(drawn, width_bins);
    of_width.push_back(expected_calibration_error(bins));
    of_mass.push_back(expected_calibration_error(equal_mass_bins(drawn, mass_bins)));
    for (size_t b = 0; b < bins.size(); ++b) accuracies[b].push_back(bins[b].accuracy);
  }
  PerfectCalibration perfect{floor_of(of_width), floor_of(of_mass), {}};
  const std::vector<CalibrationBin> bins = equal_width_bins(sorted, width_bins);
  for (size_t b = 0; b < bins.size(); ++b)
    perfect.bands.push_back(bins[b].count > 0 ? middle_of(std::move(accuracies[b]))
                                              : Interval{kUndefined, kUndefined});
  return perfect;
}

}  // namespace vit22b::metrics
