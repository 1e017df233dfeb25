#pragma once
#include <string>
#include <vector>

#include "cli/command.h"

namespace vit22b {

/// A checkpoint, what its files do not say of it, and which of its towers is meant.
struct TowerFlags {
  std::string checkpoint, tower = "image";
  std::vector<std::string> given;

  bool is_text() const;
  /// The checkpoint with what is given behind it, as resolve_checkpoint takes it.
  std::string place() const;
};

/// Adds the positional checkpoint and what is given behind it, and --tower.
void add_tower_flags(CLI::App& command, TowerFlags& flags);

}  // namespace vit22b
