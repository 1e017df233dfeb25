#include "checkpoint/import/timm_registry.h"

#include "core/error.h"

namespace vit22b {
namespace {

struct Architecture {
  std::string_view name, arguments;
};

constexpr Architecture kArchitectures[] = {
#include "checkpoint/import/timm_registry.inc"
};

}  // namespace

std::vector<std::string> timm_architectures() {
  std::vector<std::string> names;
  names.reserve(std::size(kArchitectures));
  for (const Architecture& known : kArchitectures) names.emplace_back(known.name);
  return names;
}

std::string_view timm_arguments(const std::string& architecture, const std::string& place) {
  const std::string name = architecture.substr(0, architecture.find('.'));
  for (const Architecture& known : kArchitectures)
    if (known.name == name) return known.arguments;
  throw CheckpointError(place, ": the architecture '", architecture,
                        "' is none of timm 1.0.31's plain vision transformers",
                        did_you_mean(name, timm_architectures()),
                        "; what it computes is not known, and is not guessed from its name");
}

}  // namespace vit22b
