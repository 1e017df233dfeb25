#include "explain/pictures.h"

#include <ATen/ATen.h>

#include <bit>

#include "core/text.h"
#include "report/viridis.h"

namespace vit22b {
namespace {

constexpr double kOverlay = 0.6;  // of attention over its image

static_assert(std::endian::native == std::endian::little, ".npy is written as it lies");

// [h, w] from 0 to 1 → [h, w, 3]
at::Tensor in_viridis(const at::Tensor& map) {
  const at::Tensor values = map.to(at::kFloat).contiguous();
  at::Tensor picture = at::empty({values.size(0), values.size(1), 3});
  const auto* from = values.const_data_ptr<float>();
  auto* to = picture.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i)
    for (const int channel : viridis(from[i])) *to++ = static_cast<float>(channel) / 255;
  return picture;
}

at::Tensor enlarged(const at::Tensor& map_hwc, int64_t height, int64_t width) {
  return at::upsample_nearest2d(map_hwc.permute({2, 0, 1}).unsqueeze(0).contiguous(),
                                {height, width})
      .squeeze(0)
      .permute({1, 2, 0});
}

at::Tensor as_bytes(const at::Tensor& picture) {
  return (picture.clamp(0, 1) * 255).round().to(at::kByte).contiguous();
}

// From 0 at the lowest value to 1 at the highest.
at::Tensor stretched(const at::Tensor& image_CHW) {
  const at::Tensor image = image_CHW.to(at::kCPU, at::kFloat);
  const at::Tensor low = image.min();
  return (image - low) / (image.max() - low).clamp_min(1e-12);
}

at::Tensor coloured(const at::Tensor& map) {
  return map.dim() == 2 ? in_viridis(map) : map.to(at::kFloat);
}

}  // namespace

at::Tensor patch_picture(const at::Tensor& map, int64_t height, int64_t width) {
  return as_bytes(enlarged(coloured(map), height, width));
}

at::Tensor overlay(const at::Tensor& image_CHW, const at::Tensor& map_hw, double strength) {
  const at::Tensor grey = stretched(image_CHW).mean(0).unsqueeze(-1);
  const at::Tensor map = enlarged(coloured(map_hw), grey.size(0), grey.size(1));
  return as_bytes(grey * (1 - strength) + map * strength);
}

at::Tensor image_picture(const at::Tensor& image_CHW) {
  const at::Tensor image = stretched(image_CHW);
  return as_bytes((image.size(0) == 3 ? image : image.mean(0, /*keepdim=*/true))
                      .expand({3, image.size(1), image.size(2)})
                      .permute({1, 2, 0}));
}

at::Tensor attention_overlay(const at::Tensor& image_CHW, const at::Tensor& map_hw) {
  return overlay(image_CHW, map_hw / map_hw.max().clamp_min(1e-12), kOverlay);
}

at::Tensor side_by_side(const std::vector<at::Tensor>& pictures_HWC) {
  return at::cat(pictures_HWC, 1).contiguous();
}

std::string terminal_text(const at::Tensor& picture_HWC, int64_t columns, bool has_colours) {
  const int64_t width = std::min(columns, picture_HWC.size(1));
  const int64_t height =
      2 * std::max<int64_t>(1, picture_HWC.size(0) * width / picture_HWC.size(1) / 2);
  const at::Tensor small = as_bytes(
      at::adaptive_avg_pool2d(picture_HWC.to(at::kFloat).permute({2, 0, 1}).contiguous() / 255,
                              {height, width})
          .permute({1, 2, 0}));
  const auto pixel = [&](int64_t y, int64_t x) {
    return small.const_data_ptr<uint8_t>() + (y * width + x) * 3;
  };
  std::string text;
  for (int64_t y = 0; y < height; y += 2) {
    for (int64_t x = 0; x < width; ++x) {
      const uint8_t *top = pixel(y, x), *bottom = pixel(y + 1, x);
      if (has_colours) {
        text += concat("\033[38;2;", int{top[0]}, ";", int{top[1]}, ";", int{top[2]}, ";48;2;",
                       int{bottom[0]}, ";", int{bottom[1]}, ";", int{bottom[2]}, "m\u2580");
      } else {
        constexpr std::string_view kRamp = " .:-=+*#%@";
        const size_t sum = size_t{top[0]} + top[1] + top[2] + bottom[0] + bottom[1] + bottom[2];
        text += kRamp[sum * (kRamp.size() - 1) / (size_t{6} * 255)];
      }
    }
    text += has_colours ? "\033[0m\n" : "\n";
  }
  return text;
}

std::string npy_bytes(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kCPU, at::kFloat).contiguous();
  std::string shape;
  for (const int64_t size : plain.sizes()) shape += std::to_string(size) + ", ";
  if (plain.dim() > 1) shape.resize(shape.size() - 2);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr size_t kPrefix = 10, kAlignment = 64;
  header.resize((kPrefix + header.size() + kAlignment) / kAlignment * kAlignment - kPrefix, ' ');
  header.back() = '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  return bytes.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
}

}  // namespace vit22b
