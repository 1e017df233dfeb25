#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace vit22b {

/// The largest open vision transformers, in order of size: "eva_clip_18b".
std::vector<std::string> giant_names();

/// The image tower of one of them as published, without its weights; nothing for another name.
///
/// source  the publishers' config.json and model code (docs/checkpoints.md)
std::optional<ViTConfig> giant(const std::string& name);

}  // namespace vit22b
