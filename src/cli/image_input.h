#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "data/transforms.h"

namespace vit22b {

/// Files as given, and folders replaced by the image files in them, sorted.
///
/// throws  DataError when a path does not exist or a folder holds no image
std::vector<std::string> expand_image_paths(const std::vector<std::string>& paths);

/// Reads, decodes and transforms one image file.
///
/// returns  [C, H, W] float32
/// throws   DataError naming the file
at::Tensor load_image(const std::string& path, const Transforms& transforms);

}  // namespace vit22b
