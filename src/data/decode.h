#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

namespace vit22b {

/// Decodes a JPEG, PNG or WebP image by its first bytes.
///
/// name     for messages
/// returns  uint8 [H, W, C], C 1 for grey images and 3 otherwise; alpha is dropped, 16 bits become
/// 8 throws   DataError for another format, damage, or more than 2^28 pixels or 16,384 pixels a
/// side
at::Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace vit22b
