#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// A picture as the bytes of a PNG file.
///
/// image_HWC  uint8, 1 or 3 channels
std::string encode_png(const at::Tensor& image_HWC);

/// A picture as the bytes of a JPEG file, as PIL saves one: libjpeg's tables, colours at half the
/// size either way.
///
/// image_HWC  uint8, 3 channels
/// quality    1 to 100
std::string encode_jpeg(const at::Tensor& image_HWC, int quality);

}  // namespace vit22b
