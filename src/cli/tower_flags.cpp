#include "cli/tower_flags.h"

#include <CLI/CLI.hpp>

#include "checkpoint/checkpoint_path.h"
#include "core/text.h"

namespace vit22b {

bool TowerFlags::is_text() const {
  return tower == kTextTower;
}

std::string TowerFlags::place() const {
  std::vector<std::string> words = given;
  if (!is_text() && tower != "image") words.push_back("tower=" + tower);
  return checkpoint + (words.empty() ? "" : "?" + join(words, "&"));
}

void add_tower_flags(CLI::App& command, TowerFlags& flags) {
  command.add_option("checkpoint", flags.checkpoint, "checkpoint, run folder or file of weights")
      ->required();
  command.add_option("given", flags.given, "what the files do not say, as num_heads=12");
  command
      .add_option("--tower", flags.tower,
                  "image, text of a two-tower checkpoint, or one of several image towers")
      ->capture_default_str();
}

}  // namespace vit22b
