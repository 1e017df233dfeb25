#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Pictures in ROOT/SPLIT/CLASS/, at any depth below the class as torchvision's ImageFolder reads
/// them; classes in order of their sorted names. A root without split folders is ROOT/CLASS/ and
/// has the split "train" alone. Files are opened when read; at most 1 GiB each.
///
/// throws  DataError when the split or any image is missing, a class has none (unless they are
///         allowed), or a name cannot be kept
std::unique_ptr<DataSource> open_image_folder(const std::filesystem::path& root,
                                              const std::string& split,
                                              const SourceOptions& options = {});

/// Whether it is a folder: of pictures, for want of anything else.
bool is_image_folder(const std::filesystem::path& path);

/// The folders of ROOT that are splits; none where they are classes.
///
/// They are splits when all are called so, or when one is called so, holds no picture of its own
/// and each other one has a class folder in common with it. throws  DataError where some are called
/// like splits and neither can be told
std::vector<std::string> split_folders(const std::filesystem::path& root,
                                       const SourceOptions& options);

/// Reads an image file's bytes.
///
/// throws  DataError for a missing or empty file
std::vector<uint8_t> read_image_bytes(const std::filesystem::path& path);

}  // namespace vit22b
