#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace vit22b {

/// PIL's own resize, byte for byte: weights of 22 bits, bytes between the passes across and down,
/// the one across first but for tall pictures.
///
/// image_HWC  uint8, 1 to 4 channels
/// method     nearest, box, bilinear, hamming, bicubic or lanczos
/// returns    uint8 [height, width, C]; the image itself where it has that size
/// throws     DataError for other pixels
/// source     Pillow 13 src/libImaging/Resample.c, Geometry.c ImagingScaleAffine
at::Tensor resample_pil(const at::Tensor& image_HWC, int64_t height, int64_t width,
                        const std::string& method);

/// Whether PIL has a method of that name.
bool is_pil_method(const std::string& method);

}  // namespace vit22b
