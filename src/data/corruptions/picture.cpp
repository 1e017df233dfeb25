#include "data/corruptions/picture.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace vit22b::corruption {
namespace {

std::vector<float> gaussian_weights(double sigma, int64_t radius) {
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = -radius; i <= radius; ++i) {
    weights.push_back(std::exp(-0.5 * static_cast<double>(i * i) / (sigma * sigma)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return {weights.begin(), weights.end()};
}

// A row with what stands beyond its ends.
void pad_row(const float* row, int64_t width, int64_t radius, Border border,
             std::vector<float>& padded) {
  padded.resize(static_cast<size_t>(width + 2 * radius));
  for (int64_t x = 0; x < radius; ++x) {
    padded[static_cast<size_t>(x)] = row[inside(x - radius, width, border)];
    padded[static_cast<size_t>(radius + width + x)] = row[inside(width + x, width, border)];
  }
  std::copy_n(row, width, padded.begin() + radius);
}

void add_scaled(const float* from, float factor, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

}  // namespace

int64_t inside(int64_t at, int64_t size, Border border) {
  if (border == Border::kNearest) return std::clamp<int64_t>(at, 0, size - 1);
  if (size == 1) return 0;
  const int64_t period = border == Border::kMirror ? 2 * (size - 1) : 2 * size;
  at = ((at % period) + period) % period;
  if (at < size) return at;
  return border == Border::kMirror ? period - at : period - 1 - at;
}

Plane smoothed(const Plane& from, double sigma_y, double sigma_x, double truncate, Border border) {
  const auto radius_y = static_cast<int64_t>(std::floor(truncate * sigma_y + 0.5)),
             radius_x = static_cast<int64_t>(std::floor(truncate * sigma_x + 0.5));
  const std::vector<float> down = gaussian_weights(sigma_y, radius_y),
                           across = gaussian_weights(sigma_x, radius_x);
  Plane middle(from.height, from.width), out(from.height, from.width);
  for (int64_t y = 0; y < from.height; ++y)
    for (int64_t k = -radius_y; k <= radius_y; ++k)
      add_scaled(from.row(inside(y + k, from.height, border)),
                 down[static_cast<size_t>(k + radius_y)], from.width, middle.row(y));
  std::vector<float> padded;
  for (int64_t y = 0; y < from.height; ++y) {
    pad_row(middle.row(y), from.width, radius_x, border, padded);
    for (int64_t k = 0; k <= 2 * radius_x; ++k)
      add_scaled(padded.data() + k, across[static_cast<size_t>(k)], from.width, out.row(y));
  }
  return out;
}

Plane filtered(const Plane& from, const Plane& kernel) {
  constexpr int64_t kBlock = 32;  // sums that stay in registers
  const int64_t radius = kernel.height / 2;
  Plane out(from.height, from.width);
  std::vector<std::vector<float>> padded(static_cast<size_t>(from.height));
  for (int64_t y = 0; y < from.height; ++y) {
    std::vector<float>& row = padded[static_cast<size_t>(y)];
    pad_row(from.row(y), from.width, radius, Border::kMirror, row);
    row.resize(row.size() + kBlock);
  }
  for (int64_t y = 0; y < from.height; ++y)
    for (int64_t first = 0; first < from.width; first += kBlock) {
      std::array<float, kBlock> sums{};
      for (int64_t i = 0; i < kernel.height; ++i) {
        const int64_t at = inside(y + i - radius, from.height, Border::kMirror);
        const float* row = padded[static_cast<size_t>(at)].data() + first;
        for (int64_t j = 0; j < kernel.width; ++j)
          if (const float weight = kernel.row(i)[j]; weight != 0)
            for (size_t k = 0; k < kBlock; ++k)
              sums[k] += weight * row[j + static_cast<int64_t>(k)];
      }
      std::copy_n(sums.data(), std::min(kBlock, from.width - first), out.row(y) + first);
    }
  return out;
}

Plane zoomed(const Plane& from, int64_t out_height, int64_t out_width, int64_t rows,
             int64_t columns) {
  struct Place {
    int64_t low, high;
    float share;  ///< of the higher one
  };
  const auto places = [](int64_t in, int64_t out, int64_t wanted) {
    const double step = out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
    std::vector<Place> all;
    for (int64_t i = 0; i < wanted; ++i) {
      const double at = static_cast<double>(i) * step;
      const int64_t low = std::min(static_cast<int64_t>(at), in - 1);
      all.push_back(
          {low, std::min(low + 1, in - 1), static_cast<float>(at - static_cast<double>(low))});
    }
    return all;
  };
  const std::vector<Place> down = places(from.height, out_height, rows),
                           across = places(from.width, out_width, columns);
  Plane out(rows, columns);
  std::vector<float> between(static_cast<size_t>(from.width));
  for (int64_t y = 0; y < rows; ++y) {
    const Place& place = down[static_cast<size_t>(y)];
    const float *low = from.row(place.low), *high = from.row(place.high);
    for (int64_t x = 0; x < from.width; ++x)
      between[static_cast<size_t>(x)] = low[x] + place.share * (high[x] - low[x]);
    for (int64_t x = 0; x < columns; ++x) {
      const Place& at = across[static_cast<size_t>(x)];
      const float a = between[static_cast<size_t>(at.low)],
                  b = between[static_cast<size_t>(at.high)];
      out.row(y)[x] = a + at.share * (b - a);
    }
  }
  return out;
}

Plane clipped_zoom(const Plane& from, double factor, int64_t rows, int64_t columns) {
  const auto height = static_cast<int64_t>(std::ceil(static_cast<double>(from.height) / factor)),
             width = static_cast<int64_t>(std::ceil(static_cast<double>(from.width) / factor));
  const int64_t top = (from.height - height) / 2, left = (from.width - width) / 2;
  Plane part(height, width);
  for (int64_t y = 0; y < height; ++y) std::copy_n(from.row(top + y) + left, width, part.row(y));
  const auto out_height = std::llrint(static_cast<double>(height) * factor),
             out_width = std::llrint(static_cast<double>(width) * factor);
  return zoomed(part, out_height, out_width,
                rows > 0 ? std::min<int64_t>(rows, out_height) : out_height,
                columns > 0 ? std::min<int64_t>(columns, out_width) : out_width);
}

Plane motion_blurred(const Plane& from, int64_t radius, double sigma, double angle_degrees) {
  const int64_t width = 2 * radius + 1;
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) {
    weights.push_back(std::exp(-static_cast<double>(i * i) / (2 * sigma * sigma)));
    sum += weights.back();
  }
  const double angle = angle_degrees * M_PI / 180;
  const double down = std::sin(angle), across = std::cos(angle);
  Plane out(from.height, from.width);
  for (int64_t i = 0; i < width; ++i) {
    const auto step = static_cast<double>(i);
    const auto dy = -static_cast<int64_t>(std::ceil(step * down - 0.5)),
               dx = -static_cast<int64_t>(std::ceil(step * across - 0.5));
    if (std::abs(dy) >= from.height || std::abs(dx) >= from.width) break;
    const auto weight = static_cast<float>(weights[static_cast<size_t>(i)] / sum);
    for (int64_t y = 0; y < from.height; ++y) {
      const float* row = from.row(inside(y - dy, from.height, Border::kNearest));
      float* to = out.row(y);
      for (int64_t x = 0; x < from.width; ++x)
        to[x] += weight * row[inside(x - dx, from.width, Border::kNearest)];
    }
  }
  return out;
}

Plane plasma(int64_t size, double decay, const CounterRng& rng, uint64_t first) {
  Plane map(size, size);
  double wibble = 100;
  const auto mean_of_4 = [&](float sum) {
    const double noise = (2 * static_cast<double>(rng.uniform(first++)) - 1) * wibble;
    return static_cast<float>(static_cast<double>(sum) / 4 + wibble * noise);
  };
  for (int64_t step = size; step >= 2; step /= 2, wibble /= decay) {
    const int64_t half = step / 2;
    const auto at = [&](int64_t y, int64_t x) -> float& {
      return map.row((y + size) % size)[(x + size) % size];
    };
    for (int64_t y = 0; y < size; y += step)
      for (int64_t x = 0; x < size; x += step)
        at(y + half, x + half) =
            mean_of_4(at(y, x) + at(y + step, x) + at(y, x + step) + at(y + step, x + step));
    for (int64_t y = 0; y < size; y += step)
      for (int64_t x = 0; x < size; x += step) {
        at(y, x + half) =
            mean_of_4(at(y, x) + at(y, x + step) + at(y + half, x + half) + at(y - half, x + half));
        at(y + half, x) =
            mean_of_4(at(y, x) + at(y + step, x) + at(y + half, x + half) + at(y + half, x - half));
      }
  }
  const auto [least, most] = std::minmax_element(map.data.begin(), map.data.end());
  const float low = *least, range = std::max(*most - low, 1e-12F);
  for (float& value : map.data) value = (value - low) / range;
  return map;
}

void clip(Plane& plane) {
  for (float& value : plane.data) value = std::clamp(value, 0.0F, 1.0F);
}

void clip(Picture& picture) {
  for (Plane& plane : picture) clip(plane);
}

}  // namespace vit22b::corruption
