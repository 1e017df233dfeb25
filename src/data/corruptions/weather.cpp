#include <algorithm>
#include <bit>
#include <cmath>

#include "data/corruptions/effects.h"

namespace vit22b::corruption {
namespace {

float luminance(const Picture& picture, size_t i) {
  if (picture.size() == 1) return picture[0].data[i];
  return grey_of(picture[0].data[i], picture[1].data[i], picture[2].data[i]);
}

// Clouds as large as a picture; of one beyond 4,096 pixels they repeat, for the map has no seam.
Plane clouds(const Picture& picture, double decay, const CounterRng& rng, uint64_t first) {
  const auto side = static_cast<uint64_t>(std::max(picture[0].height, picture[0].width));
  constexpr uint64_t kLargest = 4096;
  const auto size = static_cast<int64_t>(std::min(kLargest, std::bit_ceil(side)));
  const Plane map = plasma(size, decay, rng, first);
  Plane part(picture[0].height, picture[0].width);
  for (int64_t y = 0; y < part.height; ++y)
    for (int64_t x = 0; x < part.width; x += size)
      std::copy_n(map.row(y % size), std::min(size, part.width - x), part.row(y) + x);
  return part;
}

// Flakes: bright points of noise, enlarged, moved along a line.
Plane flakes(const Picture& picture, int64_t severity, const Chance& chance) {
  constexpr double kMean[] = {.1, .2, .55, .55, .55}, kDeviation = .3,
                   kZoom[] = {3, 2, 4, 4.5, 2.5}, kThreshold[] = {.5, .5, .9, .85, .85},
                   kSigma[] = {4, 4, 8, 8, 12};
  constexpr int64_t kRadius[] = {10, 12, 12, 12, 12};
  Plane layer(picture[0].height, picture[0].width);
  chance.normal.fill_normal(layer.data, 0);
  for (float& value : layer.data)
    value = static_cast<float>(kMean[severity] + kDeviation * static_cast<double>(value));
  layer = clipped_zoom(layer, kZoom[severity]);
  for (float& value : layer.data)
    value = value < static_cast<float>(kThreshold[severity]) ? 0 : std::min(value, 1.0F);
  const double angle = -135 + 90 * static_cast<double>(chance.uniform.uniform(0));
  layer = motion_blurred(layer, kRadius[severity], kSigma[severity], angle);
  for (float& value : layer.data) value = std::rint(value * 255) / 255;
  return layer;
}

// Ridges of cloud maps, which look like ice on a pane: of mean 0 and deviation 1.
std::vector<float> needles(const Picture& picture, const Chance& chance) {
  constexpr double kCoarse = 1.9, kFine = 1.5;
  constexpr uint64_t kOther = uint64_t{1} << 40;  // random numbers that the first map has not
  const Plane coarse = clouds(picture, kCoarse, chance.uniform, 0),
              fine = clouds(picture, kFine, chance.uniform, kOther);
  std::vector<float> ice;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < coarse.data.size(); ++i) {
    const float ridge = 1 - std::abs(2 * fine.data[i] - 1);
    ice.push_back(0.5F * coarse.data[i] + ridge);
    sum += static_cast<double>(ice.back());
    squares += static_cast<double>(ice.back()) * static_cast<double>(ice.back());
  }
  const auto n = static_cast<double>(ice.size());
  const double mean = sum / n, deviation = std::sqrt(std::max(1e-12, squares / n - mean * mean));
  for (float& value : ice)
    value = static_cast<float>((static_cast<double>(value) - mean) / deviation);
  return ice;
}

}  // namespace

void snow(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr float kKept[] = {.8F, .7F, .7F, .65F, .55F};
  const float kept = kKept[severity];
  const Plane layer = flakes(picture, severity, chance);
  const int64_t height = picture[0].height, width = picture[0].width;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const auto i = static_cast<size_t>(y * width + x);
      const float white = luminance(picture, i) * 1.5F + 0.5F;
      // The layer, and itself turned upside down.
      const float falling = layer.row(y)[x] + layer.row(height - 1 - y)[width - 1 - x];
      for (Plane& plane : picture) {
        float& value = plane.data[i];
        value = kept * value + (1 - kept) * std::max(value, white) + falling;
      }
    }
}

void frost(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr float kKept[] = {1, .8F, .7F, .65F, .6F}, kFrost[] = {.4F, .6F, .7F, .7F, .75F};
  // Mean by colour, and deviation, of the five photographs that the package pastes.
  constexpr float kRed = .572F, kGreen = .656F, kBlue = .702F, kDeviation = .13F;
  const std::vector<float> mean = colour_of(picture, kRed, kGreen, kBlue);
  const std::vector<float> ice = needles(picture, chance);
  for (size_t c = 0; c < picture.size(); ++c)
    for (size_t i = 0; i < ice.size(); ++i) {
      float& value = picture[c].data[i];
      const float pane = std::clamp(mean[c] + kDeviation * ice[i], 0.0F, 1.0F);
      value = kKept[severity] * value + kFrost[severity] * pane;
    }
}

void fog(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr float kAmount[] = {1.5F, 2, 2.5F, 2.5F, 3};
  constexpr double kDecay[] = {2, 2, 1.7, 1.5, 1.4};
  const float amount = kAmount[severity];
  const Plane map = clouds(picture, kDecay[severity], chance.uniform, 0);
  float most = 0;
  for (const Plane& plane : picture)
    most = std::max(most, *std::max_element(plane.data.begin(), plane.data.end()));
  for (Plane& plane : picture)
    for (size_t i = 0; i < map.data.size(); ++i)
      plane.data[i] = (plane.data[i] + amount * map.data[i]) * most / (most + amount);
}

}  // namespace vit22b::corruption
