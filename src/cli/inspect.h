#pragma once
#include "cli/command.h"

namespace vit22b {

/// `model inspect`.
void add_inspect(CLI::App& group);

}  // namespace vit22b
