#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Pictures with a mask each: samples have "image" and "mask", both as their files have them; which
/// values of a mask are which classes MaskLabels says. A mask is a PNG of its picture's name.
///
/// ROOT is one of these; splits called `training` and `validation` are "train" and "val":
///   images/[SPLIT/]… with masks/[SPLIT/]… or annotations/[SPLIT/]…  (ADE20K)
///   SPLIT/images/… with SPLIT/masks/…
///   JPEGImages/ with SegmentationClass/ or SegmentationClassContext/, and lists of names in
///     ImageSets/Segmentation/ or ImageSets/SegmentationContext/     (Pascal VOC, Pascal Context)
///   leftImg8bit/SPLIT/CITY/ with gtFine/SPLIT/CITY/*_gtFine_labelTrainIds.png  (Cityscapes)
/// Classes are the lines of ROOT/classes.txt, or what these sets call theirs; none elsewhere.
/// Pictures without a mask are left out, and a warning counts and names them.
/// throws  DataError where there is no pair
std::unique_ptr<DataSource> open_mask_folder(const std::filesystem::path& root,
                                             const std::string& split,
                                             const SourceOptions& options = {});

/// Whether a folder is laid out so.
bool is_mask_folder(const std::filesystem::path& root);

std::vector<std::string> mask_folder_splits(const std::filesystem::path& root,
                                            const SourceOptions& options);

/// The field that masks stand in.
constexpr const char* kMaskField = "mask";

}  // namespace vit22b
