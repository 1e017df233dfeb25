#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Image files by name, without labels; the names are the samples' ids. Files are opened when read.
///
/// throws  DataError for no files
std::unique_ptr<DataSource> make_image_list(std::vector<std::string> files);

}  // namespace vit22b
