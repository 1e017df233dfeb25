#pragma once
#include <filesystem>
#include <string>

#include "core/rng.h"
#include "support/files.h"

namespace vit22b::test {

inline std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

/// An idx split that a small model can learn: class c is a bright square at its own place, over
/// noise.
inline void write_idx(const std::filesystem::path& folder, const std::string& split, int count,
                      int classes = 4, int side = 16) {
  const CounterRng rng(1, "pixels", split);
  std::string images = big_endian(0x803) + big_endian(static_cast<uint32_t>(count)) +
                       big_endian(static_cast<uint32_t>(side)) +
                       big_endian(static_cast<uint32_t>(side));
  std::string labels = big_endian(0x801) + big_endian(static_cast<uint32_t>(count));
  uint64_t draw = 0;
  for (int i = 0; i < count; ++i) {
    const int label = i % classes, top = label / 2 * side / 2, left = label % 2 * side / 2;
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        const bool is_inside = y >= top && y < top + side / 2 && x >= left && x < left + side / 2;
        images +=
            static_cast<char>((is_inside ? 150 : 20) + static_cast<int>(rng.below(draw++, 100)));
      }
    labels += static_cast<char>(label);
  }
  write_file(folder / (split + "-images-idx3-ubyte"), images);
  write_file(folder / (split + "-labels-idx1-ubyte"), labels);
}

}  // namespace vit22b::test
