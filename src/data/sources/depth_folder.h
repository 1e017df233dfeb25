#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Pictures with a depth map each: PNGs of 16 bits, or .npy of metres, which count where there are
/// both. Samples have "image" as its file has it and "depth": encoded, what a step is
/// with_depth_metres says; of arrays the metres, 0 where there are none.
///
/// ROOT is one of these; splits called `training` and `validation` are "train" and "val":
///   rgb/[SPLIT/]… with depth/[SPLIT/]…
///   SPLIT/rgb/… with SPLIT/depth/…
///   lists SPLIT.txt or NAME_SPLIT.txt (train, val, test) of lines "IMAGE DEPTH [FOCAL]", as BTS
///   and DINOv2 have them for NYU (nyu_train.txt) and KITTI (kitti_eigen_train.txt); images lie
///   below ROOT, ROOT/input or ROOT/raw, maps below ROOT, ROOT/gt_depth or
///   ROOT/data_depth_annotated
/// Pictures without a map ("None" in lists) are left out, and a warning counts and names them.
/// throws  DataError where there is no pair, and naming the line of a list whose picture is not
/// there
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
