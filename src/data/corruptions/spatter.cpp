#include <algorithm>
#include <array>
#include <cmath>

#include "data/corruptions/effects.h"

namespace vit22b::corruption {
namespace {

constexpr double kTruncate = 4;  // skimage.filters.gaussian

// The published pictures owe the look of drops to a chain of OpenCV's operations: edges, distances
// from them, a histogram made even, an emboss. They are here as far as it needs them, on planes
// whose values are those of bytes.

/// Edges as Canny finds them with thresholds 50 and 150 of |dx| + |dy|: 1 on an edge, else 0.
class Edges {
 public:
  explicit Edges(const Plane& bytes)
      : height_(bytes.height),
        width_(bytes.width),
        dx_(height_, width_),
        dy_(height_, width_),
        size_(height_, width_),
        edges_(height_, width_) {
    for (int64_t y = 0; y < height_; ++y)
      for (int64_t x = 0; x < width_; ++x) {
        const auto at = [&](int64_t down, int64_t across) {
          return bytes.row(inside(y + down, height_,
                                  Border::kNearest))[inside(x + across, width_, Border::kNearest)];
        };
        const float gx = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) -
                         at(1, -1),
                    gy = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) -
                         at(-1, 1);
        dx_.row(y)[x] = gx, dy_.row(y)[x] = gy;
        size_.row(y)[x] = std::abs(gx) + std::abs(gy);
      }
    for (int64_t y = 0; y < height_; ++y)
      for (int64_t x = 0; x < width_; ++x)
        if (edges_.row(y)[x] == 0 && size_.row(y)[x] > kHigh && is_ridge(y, x)) follow(y, x);
  }
  const Plane& plane() const { return edges_; }

 private:
  static constexpr float kLow = 50, kHigh = 150;

  float size_at(int64_t y, int64_t x) const {
    return y < 0 || x < 0 || y >= height_ || x >= width_ ? 0 : size_.row(y)[x];
  }

  // Whether the slope is steepest here across the edge.
  bool is_ridge(int64_t y, int64_t x) const {
    constexpr float kTangent = 0.41421356F;  // of 22.5 degrees
    const float gx = std::abs(dx_.row(y)[x]), gy = std::abs(dy_.row(y)[x]), here = size_at(y, x);
    if (gy < kTangent * gx) return here > size_at(y, x - 1) && here >= size_at(y, x + 1);
    if (gy * kTangent > gx) return here > size_at(y - 1, x) && here >= size_at(y + 1, x);
    const int64_t s = (dx_.row(y)[x] < 0) != (dy_.row(y)[x] < 0) ? -1 : 1;
    return here > size_at(y - 1, x - s) && here > size_at(y + 1, x + s);
  }

  // Marks what is connected with a strong edge by weaker ones.
  void follow(int64_t y, int64_t x) {
    std::vector<std::array<int64_t, 2>> open = {{y, x}};
    edges_.row(y)[x] = 1;
    while (!open.empty()) {
      const auto [from_y, from_x] = open.back();
      open.pop_back();
      for (int64_t down = -1; down <= 1; ++down)
        for (int64_t across = -1; across <= 1; ++across) {
          const int64_t ny = from_y + down, nx = from_x + across;
          if (size_at(ny, nx) <= kLow || edges_.row(ny)[nx] != 0 || !is_ridge(ny, nx)) continue;
          edges_.row(ny)[nx] = 1;
          open.push_back({ny, nx});
        }
    }
  }

  int64_t height_, width_;
  Plane dx_, dy_, size_, edges_;
};

/// Distances from what is marked, at most `most`, by steps within 5 x 5 pixels: there and back.
Plane distances(const Plane& marked, float most) {
  struct Step {
    int64_t down, across;
    float length;
  };
  // Borgefors' weights, as OpenCV has them.
  constexpr Step kSteps[] = {{0, -1, 1},        {-1, 0, 1},        {-1, -1, 1.4F},
                             {-1, 1, 1.4F},     {-1, -2, 2.1969F}, {-1, 2, 2.1969F},
                             {-2, -1, 2.1969F}, {-2, 1, 2.1969F}};
  Plane out(marked.height, marked.width, most);
  const auto take = [&](int64_t y, int64_t x, int64_t sign) {
    float& here = out.row(y)[x];
    if (marked.row(y)[x] != 0) here = 0;
    for (const Step& step : kSteps) {
      const int64_t ny = y + sign * step.down, nx = x + sign * step.across;
      if (ny < 0 || nx < 0 || ny >= out.height || nx >= out.width) continue;
      here = std::min(here, out.row(ny)[nx] + step.length);
    }
  };
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) take(y, x, 1);
  for (int64_t y = out.height; y-- > 0;)
    for (int64_t x = out.width; x-- > 0;) take(y, x, -1);
  return out;
}

/// The mean of 3 x 3.
Plane boxed(const Plane& from) {
  Plane out = filtered(from, Plane(3, 3, 1));
  for (float& value : out.data) value /= 9;
  return out;
}

/// Makes all of 256 levels about as frequent as each other.
void equalise(Plane& bytes) {
  std::array<int64_t, 256> counts{};
  for (const float value : bytes.data) ++counts[static_cast<size_t>(value)];
  const auto first = std::find_if(counts.begin(), counts.end(), [](int64_t n) { return n > 0; });
  const auto rest = static_cast<double>(std::ssize(bytes.data) - *first);
  if (rest == 0) return;
  std::array<float, 256> level{};
  double sum = 0;
  for (auto it = first + 1; it != counts.end(); ++it) {
    sum += static_cast<double>(*it);
    level[static_cast<size_t>(it - counts.begin())] =
        static_cast<float>(std::rint(sum * 255 / rest));
  }
  for (float& value : bytes.data) value = level[static_cast<size_t>(value)];
}

/// How much water is where, 0 to 1, of drops whose thickness is known.
Plane water(const Plane& thickness) {
  constexpr float kFar = 20;
  Plane bytes = thickness;
  for (float& value : bytes.data) value = std::floor(std::min(value, 1.0F) * 255);
  Plane lit = boxed(distances(Edges(bytes).plane(), kFar));
  for (float& value : lit.data) value = std::floor(value);
  equalise(lit);
  Plane emboss(3, 3);
  emboss.data = {-2, -1, 0, -1, 1, 1, 0, 1, 2};
  lit = filtered(lit, emboss);
  for (float& value : lit.data) value = std::clamp(std::rint(value), 0.0F, 255.0F);
  lit = boxed(lit);
  float most = 0;
  for (size_t i = 0; i < lit.data.size(); ++i) {
    lit.data[i] = bytes.data[i] * std::rint(lit.data[i]);
    most = std::max(most, lit.data[i]);
  }
  for (float& value : lit.data) value = most > 0 ? value / most : 0;
  return lit;
}

}  // namespace

void spatter(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr double kMean[] = {.65, .65, .65, .65, .67}, kDeviation[] = {.3, .3, .3, .3, .4},
                   kSigma[] = {4, 3, 2, 1, 1}, kMudSigma = 1.5;
  constexpr float kThreshold[] = {.69F, .68F, .68F, .65F, .65F}, kWater[] = {.6F, .6F, .5F};
  constexpr float kLeastMud = 0.8F;
  const bool is_mud = severity >= std::ssize(kWater);
  const std::vector<float> colour =
      is_mud ? colour_of(picture, 63 / 255.0F, 42 / 255.0F, 20 / 255.0F)      // brown
             : colour_of(picture, 175 / 255.0F, 238 / 255.0F, 238 / 255.0F);  // pale turquoise
  Plane layer(picture[0].height, picture[0].width);
  chance.normal.fill_normal(layer.data, 0);
  for (float& value : layer.data)
    value = static_cast<float>(kMean[severity] + kDeviation[severity] * static_cast<double>(value));
  layer = smoothed(layer, kSigma[severity], kSigma[severity], kTruncate, Border::kNearest);
  for (float& value : layer.data)
    if (value < kThreshold[severity]) value = 0;
  if (is_mud) {
    for (float& value : layer.data) value = value > kThreshold[severity] ? 1 : 0;
    layer = smoothed(layer, kMudSigma, kMudSigma, kTruncate, Border::kNearest);
    for (float& value : layer.data)
      if (value < kLeastMud) value = 0;
  } else {
    layer = water(layer);
  }
  for (size_t c = 0; c < picture.size(); ++c)
    for (size_t i = 0; i < layer.data.size(); ++i) {
      float& value = picture[c].data[i];
      value = is_mud ? value * (1 - layer.data[i]) + colour[c] * layer.data[i]
                     : value + kWater[severity] * colour[c] * layer.data[i];
    }
}

}  // namespace vit22b::corruption
