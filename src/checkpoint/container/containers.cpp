#include "checkpoint/container/containers.h"

#include "core/error.h"

namespace vit22b {
namespace {

struct ContainerKind {
  std::string_view ending;
  TensorContainer (*open)(const std::filesystem::path& file);
};

// The one list of formats of weights; of two endings that fit, the first counts.
constexpr ContainerKind kKinds[] = {
    {kIndexEnding, open_shards},
    {".safetensors", open_safetensors},
};

const ContainerKind* kind_of(std::string_view name) {
  for (const ContainerKind& kind : kKinds)
    if (name.ends_with(kind.ending)) return &kind;
  return nullptr;
}

}  // namespace

bool has_container_ending(std::string_view name) {
  return kind_of(name) != nullptr;
}

TensorContainer open_container(const std::filesystem::path& file) {
  if (const ContainerKind* kind = kind_of(file.filename().string())) return kind->open(file);
  std::vector<std::string> endings;
  for (const ContainerKind& kind : kKinds) endings.emplace_back(kind.ending);
  throw CheckpointError(file.string(), " is no file of weights: want a name that ends in ",
                        join(endings, " or "));
}

}  // namespace vit22b
