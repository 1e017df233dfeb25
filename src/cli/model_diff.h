#pragma once

#include "cli/command.h"

namespace vit22b {

/// Adds `model diff`.
void add_model_diff(CLI::App& group);

}  // namespace vit22b
