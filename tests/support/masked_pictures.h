#pragma once
#include <ATen/ATen.h>

#include <array>
#include <filesystem>

#include "core/text.h"
#include "data/encode.h"
#include "support/files.h"

namespace vit22b::test {

inline std::array<uint8_t, 3> any_colour(int64_t index) {
  return {static_cast<uint8_t>(index * 40), static_cast<uint8_t>(255 - index), 7};
}

/// A mask's PNG with these values, int32 [H, W].
inline void write_mask(const std::filesystem::path& path, const at::Tensor& values_HW) {
  write_file(path, encode_values_png(values_HW, any_colour));
}

/// A picture of 16 x 16 pixels whose left part is red, up to a column of its own, its right part
/// blue; its mask has `first` on the left and `first` + 1 on the right, and one pixel of 255.
inline void write_masked_picture(const std::filesystem::path& image,
                                 const std::filesystem::path& mask, int64_t number,
                                 int64_t first = 0) {
  const int64_t column = 3 + number * 5 % 11;
  at::Tensor picture = at::full({16, 16, 3}, 30, at::kByte),
             values = at::full({16, 16}, first, at::kInt);
  picture.slice(1, 0, column).select(2, 0).fill_(200 + number % 40);
  picture.slice(1, column).select(2, 2).fill_(220 - number % 30);
  values.slice(1, column).fill_(first + 1);
  values[0][0] = 255;
  write_file(image, encode_png(picture));
  write_mask(mask, values);
}

/// ROOT/images and ROOT/masks with the splits "train" and "val", and classes.txt.
inline void write_masked_pictures(const std::filesystem::path& root, int64_t train = 24,
                                  int64_t val = 6) {
  for (const auto& [split, count] : {std::pair("train", train), std::pair("val", val)})
    for (int64_t i = 0; i < count; ++i)
      write_masked_picture(root / "images" / split / concat(i, ".png"),
                           root / "masks" / split / concat(i, ".png"), i + (split[0] == 'v'));
  write_file(root / "classes.txt", "red\nblue\n");
}

}  // namespace vit22b::test
