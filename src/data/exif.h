#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace vit22b {

/// How EXIF data of a JPEG, PNG or WebP say that its picture lies: 1 to 8, 1 (upright) where they
/// say nothing or are damaged.
int exif_orientation(std::span<const uint8_t> bytes);

/// The picture upright.
///
/// source  Pillow's ImageOps.exif_transpose
at::Tensor turned(const at::Tensor& image_HWC, int orientation);

}  // namespace vit22b
