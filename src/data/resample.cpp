#include "data/resample.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int kWeightBits = 32 - 8 - 2;  // PIL's PRECISION_BITS

double sinc(double x) {
  return x == 0 ? 1 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi);
}

double box(double x) {
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

double bilinear(double x) {
  return std::max(0.0, 1 - std::abs(x));
}

double hamming(double x) {
  if (std::abs(x) >= 1) return 0;
  // The two constants are floats in PIL.
  return x == 0 ? 1
                : sinc(std::abs(x)) * (0.54F + 0.46F * std::cos(std::abs(x) * std::numbers::pi));
}

double bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * kA : 0;
}

double lanczos(double x) {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

struct Filter {
  const char* name;
  double (*weight)(double);
  double support;  ///< how far the weight reaches, in pixels of the larger grid
};
constexpr Filter kFilters[] = {{"box", box, 0.5},
                               {"bilinear", bilinear, 1},
                               {"hamming", hamming, 1},
                               {"bicubic", bicubic, 2},
                               {"lanczos", lanczos, 3}};

const Filter* find_filter(const std::string& name) {
  for (const Filter& filter : kFilters)
    if (name == filter.name) return &filter;
  return nullptr;
}

/// The pixels that one pixel of the result is made of.
struct Taps {
  int64_t first;
  int64_t count;
};
/// Of one axis: where each result's taps are, and their weights, `stride` apart.
struct Plan {
  std::vector<Taps> taps;
  std::vector<int32_t> weights;
  int64_t stride;
};

int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<int32_t>(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

Plan plan_axis(int64_t size, int64_t result_size, const Filter& filter) {
  const double scale = static_cast<double>(size) / static_cast<double>(result_size);
  const double stretch = std::max(1.0, scale), support = filter.support * stretch;
  Plan plan{{}, {}, static_cast<int64_t>(std::ceil(support)) * 2 + 1};
  plan.taps.resize(static_cast<size_t>(result_size));
  plan.weights.resize(static_cast<size_t>(result_size * plan.stride));
  std::vector<double> row(static_cast<size_t>(plan.stride));
  for (int64_t x = 0; x < result_size; ++x) {
    const double centre = (static_cast<double>(x) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5)),
                  end = std::min(size, static_cast<int64_t>(centre + support + 0.5));
    plan.taps[static_cast<size_t>(x)] = {first, end - first};
    double sum = 0;
    for (int64_t i = 0; i < end - first; ++i) {
      const double weight =
          filter.weight((static_cast<double>(i + first) - centre + 0.5) * (1 / stretch));
      row[static_cast<size_t>(i)] = weight;
      sum += weight;
    }
    for (int64_t i = 0; i < end - first; ++i) {
      const double weight = row[static_cast<size_t>(i)];
      plan.weights[static_cast<size_t>(x * plan.stride + i)] =
          fixed_point(sum != 0 ? weight / sum : weight);
    }
  }
  return plan;
}

uint8_t rounded_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

/// One row across: [W, C] to [result W, C].
template <int C>
[[gnu::always_inline]] inline void resample_row(const uint8_t* in, uint8_t* out, const Plan& plan) {
  const int32_t* weights = plan.weights.data();
  for (const Taps& taps : plan.taps) {
    const uint8_t* pixel = in + taps.first * C;
    int32_t sum[C];
    std::fill_n(sum, C, kHalf);
    for (int64_t i = 0; i < taps.count; ++i, pixel += C)
      for (int c = 0; c < C; ++c) sum[c] += pixel[c] * weights[i];
    for (int c = 0; c < C; ++c) *out++ = rounded_byte(sum[c]);
    weights += plan.stride;
  }
}

[[gnu::target_clones("avx2", "default")]] void resample_across(const uint8_t* in, uint8_t* out,
                                                               int channels, const Plan& plan) {
  if (channels == 1) return resample_row<1>(in, out, plan);
  if (channels == 2) return resample_row<2>(in, out, plan);
  if (channels == 3) return resample_row<3>(in, out, plan);
  resample_row<4>(in, out, plan);
}

/// One row of the result from `count` rows of `width` bytes; sums is scratch of that width.
[[gnu::target_clones("avx2", "default")]] void resample_down(const uint8_t* in, uint8_t* out,
                                                             int64_t width, int64_t count,
                                                             const int32_t* weights,
                                                             int32_t* sums) {
  std::fill_n(sums, width, kHalf);
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* row = in + i * width;
    const int32_t weight = weights[i];
    for (int64_t x = 0; x < width; ++x) sums[x] += row[x] * weight;
  }
  for (int64_t x = 0; x < width; ++x) out[x] = rounded_byte(sums[x]);
}

at::Tensor resize_width(const at::Tensor& image, int64_t width, const Filter& filter) {
  if (image.size(1) == width) return image;
  const Plan plan = plan_axis(image.size(1), width, filter);
  const int channels = static_cast<int>(image.size(2));
  at::Tensor result = at::empty({image.size(0), width, image.size(2)}, at::kByte);
  const uint8_t* in = image.const_data_ptr<uint8_t>();
  uint8_t* out = result.mutable_data_ptr<uint8_t>();
  for (int64_t y = 0; y < image.size(0); ++y)
    resample_across(in + y * image.stride(0), out + y * result.stride(0), channels, plan);
  return result;
}

at::Tensor resize_height(const at::Tensor& image, int64_t height, const Filter& filter) {
  if (image.size(0) == height) return image;
  const Plan plan = plan_axis(image.size(0), height, filter);
  const int64_t row = image.size(1) * image.size(2);
  at::Tensor result = at::empty({height, image.size(1), image.size(2)}, at::kByte);
  std::vector<int32_t> sums(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; ++y) {
    const Taps taps = plan.taps[static_cast<size_t>(y)];
    resample_down(image.const_data_ptr<uint8_t>() + taps.first * row,
                  result.mutable_data_ptr<uint8_t>() + y * row, row, taps.count,
                  plan.weights.data() + y * plan.stride, sums.data());
  }
  return result;
}

/// Pillow 13 begins with the rows where they lose more than twice what the columns lose (found by
/// trial on 1,459 sizes); older ones never do. It shows in a pixel's last bit.
bool is_down_first(const at::Tensor& image, int64_t height, int64_t width) {
  const int64_t rows_lost = image.size(0) - height, columns_lost = image.size(1) - width;
  return rows_lost > 0 && rows_lost > 2 * columns_lost;
}

/// The pixel under each result's middle; the steps are summed, as PIL does.
at::Tensor nearest_indices(int64_t size, int64_t result_size) {
  at::Tensor indices = at::empty({result_size}, at::kLong);
  const double step = static_cast<double>(size) / static_cast<double>(result_size);
  double at = step * 0.5;
  for (int64_t i = 0; i < result_size; ++i, at += step)
    indices.mutable_data_ptr<int64_t>()[i] = std::min(size - 1, static_cast<int64_t>(at));
  return indices;
}

}  // namespace

bool is_pil_method(const std::string& method) {
  return method == "nearest" || find_filter(method) != nullptr;
}

at::Tensor resample_pil(const at::Tensor& image_HWC, int64_t height, int64_t width,
                        const std::string& method) {
  if (image_HWC.scalar_type() != at::kByte || image_HWC.size(2) > 4)
    throw DataError(
        "PIL's resize wants bytes of at most 4 channels; put it before value_range or "
        "normalize");
  if (image_HWC.size(0) == height && image_HWC.size(1) == width) return image_HWC;
  if (method == "nearest")
    return image_HWC.index_select(0, nearest_indices(image_HWC.size(0), height))
        .index_select(1, nearest_indices(image_HWC.size(1), width));
  const Filter* filter = find_filter(method);
  VIT22B_CHECK(filter != nullptr, "no resize method ", method);
  const at::Tensor image = image_HWC.contiguous();
  return is_down_first(image, height, width)
             ? resize_width(resize_height(image, height, *filter), width, *filter)
             : resize_height(resize_width(image, width, *filter), height, *filter);
}

}  // namespace vit22b
