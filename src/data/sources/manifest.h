#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// True for the ending of a manifest: .csv or .tsv, in capitals too.
bool has_manifest_ending(const std::filesystem::path& path);

/// Opens a table of images: comma-separated (RFC 4180, quotes, UTF-8), or separated by tabs where
/// the name ends in .tsv or the header has tabs.
///
/// The header names the columns: `filepath` (relative to the table), `caption` and/or `label`, and
/// `split`, where the file holds several; others are ignored. Rows of one file are its several
/// captions; a row with a label needs none. A table without `split` has the split "train" alone.
///
/// A column of whole numbers from 0 holds class numbers, which stay as they are, and names them "0"
/// to the largest over all splits. Any other column holds names, in the order of their bytes over
/// all splits ("1.0" < "10.0" < "2.0"). At most 1 GiB of text and 1 MiB a field.
/// throws  DataError naming the file and line
std::unique_ptr<DataSource> open_manifest(const std::filesystem::path& path,
                                          const std::string& split,
                                          const SourceOptions& options = {});

/// What the column `split` has, sorted; nothing without one.
std::vector<std::string> manifest_splits(const std::filesystem::path& path,
                                         const SourceOptions& options = {});

}  // namespace vit22b
