#pragma once
#include <string>
#include <vector>

#include "checkpoint/import/importer.h"

namespace vit22b {

/// What is said behind a checkpoint of its head of depth, where the files do not say it.
///
/// wanted  keys that may be given: of "layers", "output" and "max_depth" those that are not known
///         have to be
/// throws  UsageError for another key, and naming what has to be given
void apply_given_depth(const ImportFiles& files, const std::vector<std::string>& wanted,
                       DepthInfo& info);

}  // namespace vit22b
