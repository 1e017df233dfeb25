#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Pictures with a depth map each, PNGs of 16 bits: samples have "image" and "depth", both as their
/// files have them; what a step of a map is DepthUnit says.
///
/// ROOT is one of these; splits called `training` and `validation` are "train" and "val":
///   rgb/[SPLIT/]… with depth/[SPLIT/]…
///   SPLIT/rgb/… with SPLIT/depth/…
/// Pictures without a map are left out, and a warning counts and names them.
/// throws  DataError where there is no pair
std::unique_ptr<DataSource> open_depth_folder(const std::filesystem::path& root,
                                              const std::string& split,
                                              const SourceOptions& options = {});

/// Whether a folder is laid out so.
bool is_depth_folder(const std::filesystem::path& root);

std::vector<std::string> depth_folder_splits(const std::filesystem::path& root,
                                             const SourceOptions& options);

/// The field that depth maps stand in.
constexpr const char* kDepthField = "depth";

}  // namespace vit22b
