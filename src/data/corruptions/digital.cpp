#include <algorithm>
#include <cmath>

#include "data/corruptions/effects.h"

namespace vit22b::corruption {
namespace {

struct Hsv {
  float hue, saturation, value;  ///< 0 to 1
};

Hsv to_hsv(float r, float g, float b) {
  const float most = std::max({r, g, b}), delta = most - std::min({r, g, b});
  if (delta == 0) return {0, 0, most};
  float hue = 0;
  if (r == most) hue = (g - b) / delta;
  // Of equal ones the later counts, as in skimage's assignments.
  if (g == most) hue = 2 + (b - r) / delta;
  if (b == most) hue = 4 + (r - g) / delta;
  hue /= 6;
  return {hue - std::floor(hue), delta / most, most};
}

void from_hsv(const Hsv& hsv, float& r, float& g, float& b) {
  const float sector = std::floor(hsv.hue * 6), f = hsv.hue * 6 - sector;
  const float v = hsv.value, p = v * (1 - hsv.saturation), q = v * (1 - f * hsv.saturation),
              t = v * (1 - (1 - f) * hsv.saturation);
  const float colours[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
  const float* colour = colours[static_cast<int>(sector) % 6];
  r = colour[0], g = colour[1], b = colour[2];
}

template <class Change>
void change_hsv(Picture& picture, const Change& change) {
  for (size_t i = 0; i < picture[0].data.size(); ++i) {
    float &r = picture[0].data[i], &g = picture[1].data[i], &b = picture[2].data[i];
    Hsv hsv = to_hsv(r, g, b);
    change(hsv);
    from_hsv(hsv, r, g, b);
  }
}

}  // namespace

void brightness(Picture& picture, int64_t severity, const Chance&) {
  constexpr float kMore[] = {.1F, .2F, .3F, .4F, .5F};
  if (picture.size() == 1) {
    for (float& value : picture[0].data) value += kMore[severity];
    return;
  }
  change_hsv(picture, [&](Hsv& hsv) { hsv.value = std::min(1.0F, hsv.value + kMore[severity]); });
}

void saturate(Picture& picture, int64_t severity, const Chance&) {
  constexpr float kTimes[] = {.3F, .1F, 2, 5, 20}, kMore[] = {0, 0, 0, .1F, .2F};
  if (picture.size() == 1) return;  // grey has a value alone
  change_hsv(picture, [&](Hsv& hsv) {
    hsv.saturation = std::min(1.0F, hsv.saturation * kTimes[severity] + kMore[severity]);
  });
}

void contrast(Picture& picture, int64_t severity, const Chance&) {
  constexpr double kKept[] = {.4, .3, .2, .1, .05};
  for (Plane& plane : picture) {
    double sum = 0;
    for (const float value : plane.data) sum += static_cast<double>(value);
    const double mean = sum / static_cast<double>(plane.data.size());
    for (float& value : plane.data)
      value = static_cast<float>((static_cast<double>(value) - mean) * kKept[severity] + mean);
  }
}

void elastic_transform(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr double kStrength[] = {12.5, 16.25, 21.25, 25, 30}, kSmoothing = 0.01, kReach = 0.005,
                   kTruncate = 3;
  const int64_t height = picture[0].height, width = picture[0].width;
  const auto displacement = [&](uint64_t first) {
    Plane map(height, width);
    chance.uniform.fill_symmetric(map.data, first,
                                  static_cast<float>(static_cast<double>(height) * kReach));
    map = smoothed(map, static_cast<double>(height) * kSmoothing,
                   static_cast<double>(width) * kSmoothing, kTruncate, Border::kSymmetric);
    for (float& value : map.data) value *= static_cast<float>(kStrength[severity]);
    return map;
  };
  const auto count = static_cast<uint64_t>(height * width);
  const Plane dx = displacement(0), dy = displacement(count);
  for (Plane& plane : picture) {
    const Plane from = plane;
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const float at_y = static_cast<float>(y) + dy.row(y)[x],
                    at_x = static_cast<float>(x) + dx.row(y)[x];
        const float low_y = std::floor(at_y), low_x = std::floor(at_x);
        const float share_y = at_y - low_y, share_x = at_x - low_x;
        const auto pixel = [&](int64_t down, int64_t across) {
          return from.row(
              inside(static_cast<int64_t>(low_y) + down, height, Border::kSymmetric))[inside(
              static_cast<int64_t>(low_x) + across, width, Border::kSymmetric)];
        };
        const float upper = pixel(0, 0) + share_x * (pixel(0, 1) - pixel(0, 0)),
                    lower = pixel(1, 0) + share_x * (pixel(1, 1) - pixel(1, 0));
        plane.row(y)[x] = upper + share_y * (lower - upper);
      }
  }
}

}  // namespace vit22b::corruption
