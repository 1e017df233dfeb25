#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <string>

#include "core/text.h"
#include "data/encode.h"
#include "support/files.h"

namespace vit22b::test {

/// A picture of 12 x 16 pixels whose bright half is near (2 m) and whose dark one is far (8 m), and
/// its depth map in millimetres, of which the first row was not measured.
inline void write_depth_picture(const std::filesystem::path& root, const std::string& name,
                                int64_t i) {
  const int64_t border = 4 + i % 9;
  at::Tensor image = at::full({12, 16, 3}, 30 + i % 5, at::kByte),
             depth = at::full({12, 16}, 8'000, at::kInt);
  image.narrow(1, 0, border).fill_(220 - i % 5);
  depth.narrow(1, 0, border).fill_(2'000);
  depth.narrow(0, 0, 1).fill_(0);
  write_file(root / "rgb" / (name + ".png"), encode_png(image));
  write_file(root / "depth" / (name + ".png"), encode_wide_png(depth));
}

inline void write_depth_pictures(const std::filesystem::path& root) {
  for (int64_t i = 0; i < 24; ++i) write_depth_picture(root, concat("train/", i), i);
  for (int64_t i = 0; i < 6; ++i) write_depth_picture(root, concat("val/", i), 3 * i + 1);
}

}  // namespace vit22b::test
