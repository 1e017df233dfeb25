#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// A picture as the bytes of a PNG file.
///
/// image_HWC  uint8, 1 or 3 channels
std::string encode_png(const at::Tensor& image_HWC);

}  // namespace vit22b
