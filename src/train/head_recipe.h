#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vit22b {

/// How a head on a checkpoint is trained where no config says otherwise: a config's assignments,
/// "optim.lr=1e-3".
///
/// task     "segment", "depth"
/// returns  none for a task without such a recipe
std::span<const std::string_view> head_recipe(std::string_view task);

/// The head that a checkpoint has for the task, as assignments: what is trained further is it.
std::vector<std::string> head_of_checkpoint(std::string_view task, const std::string& checkpoint);

}  // namespace vit22b
