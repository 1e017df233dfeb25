#pragma once
#include "cli/command.h"

namespace vit22b {

/// Adds `depth run`: how far image files' pixels are, as numbers and pictures.
void add_depth_run(CLI::App& depth);

}  // namespace vit22b
