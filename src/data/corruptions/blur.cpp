#include <algorithm>
#include <cmath>

#include "data/corruptions/effects.h"

namespace vit22b::corruption {
namespace {

constexpr double kTruncate = 4;  // skimage.filters.gaussian

// A disk of equal weights with a smoothed edge.
Plane disk(int64_t radius, double smoothing) {
  constexpr int64_t kLeast = 8;  // smaller disks lie in the same kernel
  const int64_t half = std::max(kLeast, radius);
  Plane kernel(2 * half + 1, 2 * half + 1);
  float sum = 0;
  for (int64_t y = -half; y <= half; ++y)
    for (int64_t x = -half; x <= half; ++x)
      if (x * x + y * y <= radius * radius) {
        kernel.row(y + half)[x + half] = 1;
        ++sum;
      }
  for (float& weight : kernel.data) weight /= sum;
  // OpenCV's own kernel is 3 or 5 wide: as many deviations as that are.
  const double reach = radius <= kLeast ? 1 : 2;
  return smoothed(kernel, smoothing, smoothing, reach / smoothing, Border::kMirror);
}

// To bytes and back, as a picture is kept between two steps.
void truncate_to_bytes(Plane& plane) {
  for (float& value : plane.data) value = std::floor(std::clamp(value, 0.0F, 1.0F) * 255) / 255;
}

}  // namespace

void gaussian_blur(Picture& picture, int64_t severity, const Chance&) {
  constexpr double kSigma[] = {1, 2, 3, 4, 6};
  for (Plane& plane : picture)
    plane = smoothed(plane, kSigma[severity], kSigma[severity], kTruncate, Border::kNearest);
}

void defocus_blur(Picture& picture, int64_t severity, const Chance&) {
  constexpr int64_t kRadius[] = {3, 4, 6, 8, 10};
  constexpr double kSmoothing[] = {0.1, 0.5, 0.5, 0.5, 0.5};
  const Plane kernel = disk(kRadius[severity], kSmoothing[severity]);
  for (Plane& plane : picture) plane = filtered(plane, kernel);
}

void glass_blur(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr double kSigma[] = {.7, .9, 1, 1.1, 1.5};
  constexpr int64_t kDistance[] = {1, 2, 2, 3, 4}, kRounds[] = {2, 1, 3, 2, 2};
  const double sigma = kSigma[severity];
  const int64_t distance = kDistance[severity], height = picture[0].height,
                width = picture[0].width;
  for (Plane& plane : picture) {
    plane = smoothed(plane, sigma, sigma, kTruncate, Border::kNearest);
    truncate_to_bytes(plane);
  }
  std::vector<uint32_t> bits(static_cast<size_t>(2 * width + 2));
  uint64_t first = 0;
  const auto step = [&](uint32_t word) {
    return static_cast<int64_t>((uint64_t{word} * static_cast<uint64_t>(2 * distance)) >> 32U) -
           distance;
  };
  // A pixel takes one nearby, which stays as it is: the published pictures were made so, though
  // the text speaks of swaps.
  for (int64_t round = 0; round < kRounds[severity]; ++round)
    for (int64_t y = height - distance; y > distance; --y) {
      chance.uniform.fill_bits(bits, first);
      first += bits.size();
      for (int64_t x = width - distance; x > distance; --x) {
        const int64_t dx = step(bits[static_cast<size_t>(2 * x)]),
                      dy = step(bits[static_cast<size_t>(2 * x + 1)]);
        for (Plane& plane : picture) plane.row(y)[x] = plane.row(y + dy)[x + dx];
      }
    }
  for (Plane& plane : picture) plane = smoothed(plane, sigma, sigma, kTruncate, Border::kNearest);
}

void motion_blur(Picture& picture, int64_t severity, const Chance& chance) {
  constexpr int64_t kRadius[] = {10, 15, 15, 15, 20};
  constexpr double kSigma[] = {3, 5, 8, 12, 15};
  const double angle = -45 + 90 * static_cast<double>(chance.uniform.uniform(0));
  for (Plane& plane : picture)
    plane = motion_blurred(plane, kRadius[severity], kSigma[severity], angle);
}

void zoom_blur(Picture& picture, int64_t severity, const Chance&) {
  constexpr double kEnd[] = {1.11, 1.16, 1.21, 1.26, 1.31}, kStep[] = {.01, .01, .02, .02, .03};
  const double step = kStep[severity];
  // As numpy counts a range of such ends.
  const auto count = static_cast<int64_t>(std::ceil((kEnd[severity] - 1) / step));
  for (Plane& plane : picture) {
    Plane sum = plane;
    for (int64_t i = 0; i < count; ++i) {
      const Plane layer =
          clipped_zoom(plane, 1 + static_cast<double>(i) * step, plane.height, plane.width);
      for (int64_t y = 0; y < layer.height; ++y)
        for (int64_t x = 0; x < layer.width; ++x) sum.row(y)[x] += layer.row(y)[x];
    }
    for (float& value : sum.data) value /= static_cast<float>(count + 1);
    plane = std::move(sum);
  }
}

}  // namespace vit22b::corruption
