#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace vit22b {

/// The depth maps of a folder and those below it, .npy or .png, by their names without ending; of
/// one name the .npy, which loses nothing.
///
/// throws  DataError for what is no folder, or has none
std::map<std::string, std::string> depth_files(const std::filesystem::path& folder);

/// One of them as numbers.
///
/// png_step  metres (or what the numbers are of) that one step of a PNG's values stands for
/// returns   [H, W] float32; of .npy the numbers as they are
/// throws    DataError naming the file: no such array of two sides, a PNG of colours or of fewer
///           than 16 bits, damage
at::Tensor read_depth(const std::string& file, double png_step);

}  // namespace vit22b
