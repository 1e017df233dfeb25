#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

namespace vit22b {

/// a * b for sizes that come from a file, or nothing when it leaves int64 or a factor is negative.
inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// a + b likewise.
inline std::optional<int64_t> checked_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// The bytes of an array of a shape, or nothing where they leave int64. Sides beside one of 0 have
/// to fit too, for they have strides.
inline std::optional<int64_t> checked_size_bytes(std::span<const int64_t> shape,
                                                 int64_t element_bytes) {
  std::optional<int64_t> bytes = element_bytes;
  bool is_empty = false;
  for (const int64_t side : shape) {
    is_empty = is_empty || side == 0;
    bytes = side < 0 ? std::nullopt : checked_mul(*bytes, std::max<int64_t>(side, 1));
    if (!bytes) return std::nullopt;
  }
  return is_empty ? 0 : bytes;
}

}  // namespace vit22b
