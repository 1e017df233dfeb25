#include "metrics/interval.h"

#include <limits>

#include "core/error.h"
#include "core/rng.h"

namespace vit22b::metrics {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // 97.5 % of the standard normal
constexpr int64_t kResamples = 2000;

}  // namespace

Interval wilson_interval(int64_t num_right, int64_t num) {
  if (num == 0) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return {kNone, kNone};
  }
  const double n = static_cast<double>(num), p = static_cast<double>(num_right) / n;
  const double z2 = kNormalQuantile * kNormalQuantile;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      kNormalQuantile / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // At a share of 0 or 1 that end is exact; rounding would leave it beside.
  return {num_right == 0 ? 0 : centre - half, num_right == num ? 1 : centre + half};
}

Interval bootstrap_interval(const at::Tensor& values_SN, uint64_t seed) {
  const int64_t runs = values_SN.size(0), samples = values_SN.size(1);
  VIT22B_CHECK(runs > 0 && samples > 0, "bootstrap_interval: no values");
  const at::Tensor values = values_SN.to(at::kDouble).contiguous();
  const auto* data = values.const_data_ptr<double>();
  const CounterRng rng(seed, "bootstrap", "interval");
  std::vector<double> means(kResamples);
  std::vector<int64_t> rows(static_cast<size_t>(runs));
  for (int64_t r = 0; r < kResamples; ++r) {
    const auto first = static_cast<uint64_t>(r * (runs + samples));
    for (int64_t s = 0; s < runs; ++s)
      rows[static_cast<size_t>(s)] = static_cast<int64_t>(
          rng.below(first + static_cast<uint64_t>(s), static_cast<uint64_t>(runs)));
    double sum = 0;
    for (int64_t i = 0; i < samples; ++i) {
      const auto column = static_cast<int64_t>(
          rng.below(first + static_cast<uint64_t>(runs + i), static_cast<uint64_t>(samples)));
      for (const int64_t row : rows) sum += data[row * samples + column];
    }
    means[static_cast<size_t>(r)] = sum / static_cast<double>(runs * samples);
  }
  return middle_of(std::move(means));
}

Interval middle_of(std::vector<double> values) {
  constexpr size_t kTail = 40;  // one in so many lies beyond either end
  std::sort(values.begin(), values.end());
  const size_t tail = values.size() / kTail;
  return {values[tail], values[values.size() - 1 - tail]};
}

}  // namespace vit22b::metrics
