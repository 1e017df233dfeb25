#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace vit22b {

/// xxh3-128 of some bytes as 32 hexadecimal digits; it detects accidents, not malice.
std::string xxh3_128(std::span<const std::byte> bytes);

}  // namespace vit22b
