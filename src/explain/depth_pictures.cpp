#include "explain/depth_pictures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int64_t kBarRows = 12, kMarkRows = 4, kMarks = 10;

/// Mikhailov's polynomial of the map Turbo (Google, 2019), a channel a row, from x^0 to x^5.
constexpr std::array<std::array<double, 6>, 3> kTurbo = {
    {{0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943},
     {0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604},
     {0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973}}};

/// share  0 near to 1 far: red to blue
std::array<uint8_t, 3> turbo(double share) {
  const double x = 1 - std::clamp(share, 0.0, 1.0);
  std::array<uint8_t, 3> rgb{};
  for (size_t c = 0; c < rgb.size(); ++c) {
    double value = 0;
    for (size_t power = 6; power-- > 0;) value = value * x + kTurbo[c][power];
    rgb[c] = static_cast<uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
  }
  return rgb;
}

}  // namespace

at::Tensor depth_picture(const at::Tensor& depth_HW, double nearest, double farthest) {
  VIT22B_CHECK(depth_HW.dim() == 2 && farthest != nearest,
               "depth_picture: want [H, W] and a range");
  const bool is_relative = nearest > farthest;
  const at::Tensor depths = depth_HW.to(at::kFloat).contiguous();
  const int64_t height = depths.size(0), width = depths.size(1);
  at::Tensor picture = at::zeros({height + kBarRows, width, 3}, at::kByte);
  const auto* depth = depths.const_data_ptr<float>();
  auto* pixel = picture.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < height * width; ++i) {
    if (!std::isfinite(depth[i]) || (!is_relative && depth[i] <= 0)) continue;
    const auto rgb = turbo((depth[i] - nearest) / (farthest - nearest));
    std::copy(rgb.begin(), rgb.end(), pixel + 3 * i);
  }
  const double last = static_cast<double>(std::max<int64_t>(1, width - 1));
  for (int64_t y = 0; y < kBarRows; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const double tenths = kMarks * static_cast<double>(x) / last;
      const bool is_mark =
          y < kMarkRows && std::abs(tenths - std::round(tenths)) < kMarks / (2 * last);
      const auto rgb = turbo(static_cast<double>(x) / last);
      if (!is_mark) std::copy(rgb.begin(), rgb.end(), pixel + 3 * ((height + y) * width + x));
    }
  return picture;
}

std::string point_cloud(const at::Tensor& depth_HW, const at::Tensor& picture_HWC,
                        double focal_px) {
  const int64_t height = depth_HW.size(0), width = depth_HW.size(1);
  VIT22B_CHECK(picture_HWC.sizes() == at::IntArrayRef({height, width, 3}) && focal_px > 0,
               "point_cloud: want a depth and a colour for each pixel, and a focal length");
  const at::Tensor depths = depth_HW.to(at::kFloat).contiguous(),
                   colours = picture_HWC.to(at::kByte).contiguous();
  const auto* depth = depths.const_data_ptr<float>();
  const auto* colour = colours.const_data_ptr<uint8_t>();
  std::string points;
  int64_t count = 0;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const int64_t i = y * width + x;
      if (!(depth[i] > 0) || !std::isfinite(depth[i])) continue;
      const double z = static_cast<double>(depth[i]);
      const auto across = [&](int64_t pixel, int64_t size) {
        const double middle = static_cast<double>(size) / 2;
        return static_cast<float>((static_cast<double>(pixel) + 0.5 - middle) / focal_px * z);
      };
      const float place[] = {across(x, width), across(y, height), depth[i]};
      points.append(reinterpret_cast<const char*>(place), sizeof place);
      points.append(reinterpret_cast<const char*>(colour + 3 * i), 3);
      ++count;
    }
  return concat(
             "ply\nformat binary_little_endian 1.0\ncomment metres; x right, y down, z forward\n",
             "element vertex ", count,
             "\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\n"
             "property uchar green\nproperty uchar blue\nend_header\n") +
         points;
}

}  // namespace vit22b
