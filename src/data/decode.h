#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "data/sample.h"

namespace vit22b {

/// Decodes a picture by its first bytes: JPEG, PNG, WebP, BMP, GIF or TIFF.
///
/// name        for messages
/// max_pixels  of a picture; a side has at most 65,535
/// returns     uint8 [H, W, C], C 1 for grey pictures and 3 otherwise, as PIL's convert("L") and
///             convert("RGB") give it; 16 bits keep the high byte, grey ones too, which PIL clips
/// throws      DataError for another format, lost data, or more pixels
at::Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name,
                        int64_t max_pixels = kMaxPixels);

/// Decodes a picture whose pixels are numbers, of classes or of depth: a PNG of grey or with a
/// palette, of 1 to 16 bits.
///
/// returns  int32 [H, W, 1]: the grey values, or the palette's indices
/// throws   DataError for another format, colours, lost data, or more pixels
at::Tensor decode_values(std::span<const uint8_t> bytes, const std::string& name,
                         int64_t max_pixels = kMaxPixels);

/// Bits of a PNG's values, 1 to 16; 0 where the bytes begin as no PNG does.
int png_bits(std::span<const uint8_t> bytes);

}  // namespace vit22b
