#pragma once
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// The identity of samples that are a file each.
///
/// names  below the source's place, in order
/// files  their paths, one for each name
/// rest   what else decides what a sample is: labels, classes, captions
SourceIdentity identity_of_files(const std::vector<std::string>& names,
                                 const std::vector<std::string>& files, const std::string& rest);

}  // namespace vit22b
