#include "metrics/segmentation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

/// Two maps of one picture as plain rows.
struct Maps {
  at::Tensor predicted, truth;
  int64_t height, width;

  Maps(const at::Tensor& predicted_HW, const at::Tensor& truth_HW)
      : predicted(predicted_HW.to(at::kInt).contiguous()),
        truth(truth_HW.to(at::kInt).contiguous()),
        height(truth.size(0)),
        width(truth.size(1)) {
    VIT22B_CHECK(predicted.dim() == 2 && predicted.sizes() == truth.sizes(),
                 "segmentation: a prediction of ", predicted.sizes(), " for a truth of ",
                 truth.sizes());
  }
};

size_t class_place(int32_t value, int64_t num_classes) {
  VIT22B_CHECK(value >= 0 && value < num_classes, "segmentation: class ", value, " of ",
               num_classes);
  return static_cast<size_t>(value);
}

/// Which pixels are within `reach` of another value or of the edge. A square has one value alone
/// when no neighbours in it differ, which sums over rectangles tell.
std::vector<char> boundary_of(const int32_t* map, int64_t height, int64_t width, int64_t reach) {
  const int64_t stride = width + 1;
  std::vector<int32_t> down(static_cast<size_t>((height + 1) * stride)), across(down);
  const auto at = [&](int64_t y, int64_t x) { return static_cast<size_t>(y * stride + x); };
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const int32_t own = map[y * width + x];
      const int32_t from_left = x > 0 && map[y * width + x - 1] != own,
                    from_above = y > 0 && map[(y - 1) * width + x] != own;
      across[at(y + 1, x + 1)] =
          from_left + across[at(y, x + 1)] + across[at(y + 1, x)] - across[at(y, x)];
      down[at(y + 1, x + 1)] =
          from_above + down[at(y, x + 1)] + down[at(y + 1, x)] - down[at(y, x)];
    }
  const auto sum = [&](const std::vector<int32_t>& sums, int64_t top, int64_t left, int64_t bottom,
                       int64_t right) {
    return sums[at(bottom, right)] - sums[at(top, right)] - sums[at(bottom, left)] +
           sums[at(top, left)];
  };
  std::vector<char> is_boundary(static_cast<size_t>(height * width), 1);
  for (int64_t y = reach; y < height - reach; ++y)
    for (int64_t x = reach; x < width - reach; ++x) {
      const int64_t top = y - reach, left = x - reach, bottom = y + reach + 1,
                    right = x + reach + 1;
      // What differs from a neighbour outside of the square does not count.
      is_boundary[static_cast<size_t>(y * width + x)] = static_cast<char>(
          sum(across, top, left + 1, bottom, right) + sum(down, top + 1, left, bottom, right) > 0);
    }
  return is_boundary;
}

template <class Value>
std::vector<double> per_class(const PixelCounts& counts, const Value& value) {
  std::vector<double> values;
  values.reserve(counts.both.size());
  for (size_t i = 0; i < counts.both.size(); ++i) {
    const auto [part, whole] = value(i);
    values.push_back(whole == 0 ? kUndefined
                                : static_cast<double>(part) / static_cast<double>(whole));
  }
  return values;
}

}  // namespace

int64_t PixelCounts::pixels() const {
  return std::accumulate(truth.begin(), truth.end(), int64_t{0});
}

void PixelCounts::add(const PixelCounts& other) {
  for (size_t i = 0; i < both.size(); ++i) {
    both[i] += other.both[i];
    truth[i] += other.truth[i];
    predicted[i] += other.predicted[i];
  }
}

PixelCounts count_pixels(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                         int64_t num_classes) {
  const Maps maps(predicted_HW, truth_HW);
  PixelCounts counts(num_classes);
  const auto* said = maps.predicted.const_data_ptr<int32_t>();
  const auto* is = maps.truth.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < maps.height * maps.width; ++i) {
    if (is[i] < 0) continue;
    const size_t own = class_place(is[i], num_classes), other = class_place(said[i], num_classes);
    ++counts.truth[own];
    ++counts.predicted[other];
    counts.both[own] += own == other;
  }
  return counts;
}

PixelCounts count_boundaries(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                             int64_t num_classes) {
  constexpr double kPartOfDiagonal = 0.02;
  const Maps maps(predicted_HW, truth_HW);
  const double diagonal =
      std::sqrt(static_cast<double>(maps.height * maps.height + maps.width * maps.width));
  const auto reach =
      std::max<int64_t>(1, static_cast<int64_t>(std::nearbyint(kPartOfDiagonal * diagonal)));
  // What is said of pixels without a class ends a class's area there too, as in the truth.
  const at::Tensor masked = at::where(maps.truth.lt(0), maps.truth, maps.predicted);
  const auto* said = masked.const_data_ptr<int32_t>();
  const auto* is = maps.truth.const_data_ptr<int32_t>();
  const std::vector<char> of_said = boundary_of(said, maps.height, maps.width, reach),
                          of_truth = boundary_of(is, maps.height, maps.width, reach);
  PixelCounts counts(num_classes);
  for (size_t i = 0; i < of_said.size(); ++i) {
    if (is[i] < 0) continue;
    const size_t own = class_place(is[i], num_classes), other = class_place(said[i], num_classes);
    counts.truth[own] += of_truth[i];
    counts.predicted[other] += of_said[i];
    counts.both[own] += own == other && of_truth[i] != 0 && of_said[i] != 0;
  }
  return counts;
}

std::vector<double> iou_per_class(const PixelCounts& c) {
  return per_class(
      c, [&](size_t i) { return std::pair(c.both[i], c.truth[i] + c.predicted[i] - c.both[i]); });
}

std::vector<double> dice_per_class(const PixelCounts& c) {
  return per_class(c,
                   [&](size_t i) { return std::pair(2 * c.both[i], c.truth[i] + c.predicted[i]); });
}

std::vector<double> accuracy_per_class(const PixelCounts& c) {
  return per_class(c, [&](size_t i) { return std::pair(c.both[i], c.truth[i]); });
}

double pixel_accuracy(const PixelCounts& c) {
  const int64_t right = std::accumulate(c.both.begin(), c.both.end(), int64_t{0});
  return c.pixels() == 0 ? kUndefined
                         : static_cast<double>(right) / static_cast<double>(c.pixels());
}

double mean_of_defined(const std::vector<double>& values) {
  double sum = 0;
  int64_t count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count == 0 ? kUndefined : sum / static_cast<double>(count);
}

Interval mean_iou_interval(const std::vector<PixelCounts>& pictures, uint64_t seed) {
  constexpr uint64_t kResamples = 1000;
  if (pictures.empty()) return {kUndefined, kUndefined};
  const CounterRng rng(seed, "bootstrap", "mean iou");
  const uint64_t count = pictures.size();
  std::vector<double> means;
  for (uint64_t resample = 0; resample < kResamples; ++resample) {
    PixelCounts sum(pictures.front().num_classes());
    for (uint64_t i = 0; i < count; ++i) sum.add(pictures[rng.below(resample * count + i, count)]);
    const double mean = mean_of_defined(iou_per_class(sum));
    if (!std::isnan(mean)) means.push_back(mean);
  }
  return means.empty() ? Interval{kUndefined, kUndefined} : middle_of(std::move(means));
}

}  // namespace vit22b::metrics
