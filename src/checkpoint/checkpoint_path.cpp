#include "checkpoint/checkpoint_path.h"

#include "checkpoint/container/containers.h"
#include "core/error.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

CheckpointPath file_beside_its_config(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!has_container_ending(name))
    throw CheckpointError(path.string(),
                          " is no checkpoint: want a folder with config.json and "
                          "model.safetensors, one of its weight files, or a run folder");
  const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  if (!fs::exists(folder / "config.json"))
    throw CheckpointError(path.string(), " is no checkpoint by itself: there is no config.json in ",
                          folder.string(), " that says what model it is of");
  return {folder, name};
}

}  // namespace

CheckpointPath resolve_checkpoint(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw CheckpointError("checkpoint ", path.string(), " does not exist");
  if (!fs::is_directory(path, error)) return file_beside_its_config(path);
  if (fs::exists(path / "config.json")) return {path};
  if (fs::exists(path / "ckpt" / "latest" / "config.json"))
    return {fs::canonical(path / "ckpt" / "latest")};
  throw CheckpointError(path.string(),
                        " is no checkpoint: it holds neither config.json nor ckpt/latest");
}

}  // namespace vit22b
