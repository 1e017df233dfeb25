#pragma once

#include "cli/command.h"

namespace vit22b {

/// Adds `model stats`.
void add_model_stats(CLI::App& group);

}  // namespace vit22b
