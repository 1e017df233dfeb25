#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>

namespace vit22b {

/// A picture as the bytes of a PNG file.
///
/// image_HWC  uint8, 1 or 3 channels
std::string encode_png(const at::Tensor& image_HWC);

/// Numbers of pixels as the bytes of a PNG file that decode_values reads back: up to 255 with a
/// palette, whose indices they are, else as 16 bits of grey.
///
/// values_HW  int32, 0 to 65,535
/// colour     of a number
std::string encode_values_png(const at::Tensor& values_HW,
                              const std::function<std::array<uint8_t, 3>(int64_t)>& colour);

/// The same as 16 bits of grey, however small they are.
std::string encode_wide_png(const at::Tensor& values_HW);

/// A picture as the bytes of a JPEG file, as PIL saves one: libjpeg's tables, colours at half the
/// size either way.
///
/// image_HWC  uint8, 3 channels
/// quality    1 to 100
std::string encode_jpeg(const at::Tensor& image_HWC, int quality);

}  // namespace vit22b
