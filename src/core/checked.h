#pragma once
#include <cstdint>
#include <optional>

namespace vit22b {

/// a * b for sizes that come from a file, or nothing when it leaves int64 or a factor is negative.
inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

}  // namespace vit22b
