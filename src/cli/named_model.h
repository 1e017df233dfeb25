#pragma once
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"

namespace vit22b {

/// The checkpoint that a command's NAME is; nothing where it is a preset's.
///
/// throws  UsageError for overrides of a checkpoint; as resolve_checkpoint
std::optional<CheckpointPath> named_checkpoint(const std::string& name,
                                               const std::vector<std::string>& overrides);

}  // namespace vit22b
