#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/source.h"

namespace vit22b {

/// Images in ROOT/SPLIT/CLASS/*.{jpg,jpeg,png,webp}, classes in order of their sorted names; a root
/// without split folders is read as ROOT/CLASS/*. Files are opened when read; at most 1 GiB each.
///
/// throws  DataError when the split or any image is missing
std::unique_ptr<DataSource> open_image_folder(const std::filesystem::path& root,
                                              const std::string& split);

/// Reads an image file's bytes.
///
/// throws  DataError for a missing or empty file
std::vector<uint8_t> read_image_bytes(const std::filesystem::path& path);

/// True for the file name endings that decode_image knows.
bool has_image_ending(const std::filesystem::path& path);

}  // namespace vit22b
