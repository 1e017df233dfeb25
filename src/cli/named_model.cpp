#include "cli/named_model.h"

#include <filesystem>

#include "core/error.h"

namespace vit22b {

std::optional<CheckpointPath> named_checkpoint(const std::string& name,
                                               const std::vector<std::string>& overrides) {
  if (!may_be_checkpoint(name)) return {};
  if (!overrides.empty())
    throw UsageError("overrides go with a preset's name; ", name, " is a checkpoint");
  return resolve_checkpoint(name);
}

}  // namespace vit22b
