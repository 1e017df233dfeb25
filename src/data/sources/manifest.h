#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/source.h"

namespace vit22b {

/// True for the ending of a manifest: .csv or .tsv.
bool has_manifest_ending(const std::filesystem::path& path);

/// Opens a table of images: comma-separated (RFC 4180, quotes, UTF-8), or separated by tabs where
/// the name ends in .tsv or the header has tabs.
///
/// The header names the columns: `filepath` (relative to the table), `caption` and/or `label`, and
/// `split`, where the file holds several; others are ignored. Rows of one file are its several
/// captions. Classes are in alphabetical order over all splits, integers by value. At most 1 GiB of
/// text and 1 MiB a field.
/// throws  DataError naming the file and line
std::unique_ptr<DataSource> open_manifest(const std::filesystem::path& path,
                                          const std::string& split);

}  // namespace vit22b
