#include "checkpoint/container/containers.h"

#include <algorithm>
#include <array>

#include "checkpoint/container/file_content.h"
#include "core/error.h"

namespace vit22b {
namespace {

struct ContainerKind {
  std::array<std::string_view, 6> endings;
  TensorContainer (*open)(const std::filesystem::path& file);
  const char* name;
  std::array<FileContent, 2> contents;  ///< what such a file may begin as
};

// The one list of formats of weights; of two endings that fit, the first counts.
constexpr ContainerKind kKinds[] = {
    {{kIndexEnding, ".bin.index.json"},
     open_shards,
     "an index of shards",
     {FileContent::kText, FileContent::kText}},
    {{".safetensors"},
     open_safetensors,
     "a safetensors file",
     {FileContent::kSafetensors, FileContent::kSafetensors}},
    {{".npz"}, open_npz, "a zip archive of arrays", {FileContent::kZip, FileContent::kZip}},
    {{".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pt.tar"},
     open_torch,
     "a file of torch.save's",
     {FileContent::kZip, FileContent::kTorchStream}},
};

bool has_ending(const ContainerKind& kind, std::string_view name) {
  return std::any_of(kind.endings.begin(), kind.endings.end(), [&](std::string_view ending) {
    return !ending.empty() && name.ends_with(ending);
  });
}

const ContainerKind* kind_of(std::string_view name) {
  for (const ContainerKind& kind : kKinds)
    if (has_ending(kind, name)) return &kind;
  return nullptr;
}

// What is not known is left to the reader, which says what it lacks.
void check_content(const ContainerKind& kind, const std::filesystem::path& file) {
  const auto [content, name] = file_content(file);
  if (content == FileContent::kUnknown ||
      std::find(kind.contents.begin(), kind.contents.end(), content) != kind.contents.end())
    return;
  throw CheckpointError(file.string(), " is ", name, ", but its ending is that of ", kind.name,
                        "; give it the ending of what it is, or download it again");
}

}  // namespace

bool has_container_ending(std::string_view name) {
  return kind_of(name) != nullptr;
}

TensorContainer open_container(const std::filesystem::path& file) {
  if (const ContainerKind* kind = kind_of(file.filename().string())) {
    check_content(*kind, file);
    return kind->open(file);
  }
  std::vector<std::string> endings;
  for (const ContainerKind& kind : kKinds)
    for (const std::string_view ending : kind.endings)
      if (!ending.empty()) endings.emplace_back(ending);
  throw CheckpointError(file.string(), " is no file of weights: want a name that ends in ",
                        join(endings, " or "));
}

}  // namespace vit22b
