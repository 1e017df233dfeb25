#pragma once
#include <span>
#include <string_view>

namespace vit22b {

/// How a head on a checkpoint is trained where no config says otherwise: a config's assignments,
/// "optim.lr=1e-3".
///
/// task     "segment", "depth"
/// returns  none for a task without such a recipe
std::span<const std::string_view> head_recipe(std::string_view task);

}  // namespace vit22b
