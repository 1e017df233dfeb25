#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// The ending of files that hold one.
constexpr const char* kArrayEnding = ".npy";

/// An .npy file's numbers as a map of pixels: [H, W] float32. Sides of 1 beside these are left out.
///
/// throws  DataError naming the file: no such array of two sides, numbers that are none, damage
at::Tensor read_number_map(const std::string& file);

}  // namespace vit22b
