#include "checkpoint/remote_tower.h"

#include <algorithm>

#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/hub_checkpoint.h"
#include "core/error.h"
#include "core/http/remote_bytes.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// The files that have tensors of the tower: all, or those that an index says.
std::vector<std::string> files_of(HubModel& model, const InnerTower& tower,
                                  const std::string& weights) {
  if (weights.ends_with(".safetensors")) return {weights};
  if (!weights.ends_with(kIndexEnding))
    throw CheckpointError(model.name().text(), ": ", weights,
                          " is not read in parts; want safetensors");
  const fs::path index = model.fetch({weights}) / weights;
  std::vector<std::string> names;
  const std::map<std::string, std::string> shard_of = shards_by_tensor(index);
  names.reserve(shard_of.size());
  for (const auto& [name, shard] : shard_of) names.push_back(name);
  const std::string prefix = tower_prefix(tower, names, index.string());
  std::vector<std::string> files;
  for (const auto& [name, shard] : shard_of)
    if (name.starts_with(prefix)) files.push_back(in_folder_of(weights, shard));
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

/// The tower's tensors where they lie on the hub.
TensorContainer open_there(HubModel& model, const InnerTower& tower, const std::string& weights) {
  TensorContainer all(fs::path(model.name().text()));
  for (const std::string& file : files_of(model, tower, weights)) {
    TensorContainer one =
        open_safetensors(model.open_remote(file), model.name().text() + ":" + file);
    const std::string prefix = tower_prefix(tower, one.names(), one.place().string());
    std::vector<std::string> own = one.names();
    std::erase_if(own, [&](const std::string& name) { return !name.starts_with(prefix); });
    all.take(std::move(one), own);
  }
  return all;
}

void copy_text(FileOps& ops, const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (fs::exists(from, error)) write_text(ops, to, read_text(from, ExitCode::kCheckpoint));
}

}  // namespace

void fetch_tower(HubModel& model, const InnerTower& tower, const std::string& weights,
                 const fs::path& folder) {
  const TensorContainer there = open_there(model, tower, weights);
  std::vector<TensorEntry> entries;
  size_t bytes = 0;
  entries.reserve(there.tensors().size());
  for (const auto& [name, tensor] : there.tensors()) {
    entries.push_back({name, tensor.dtype, tensor.shape});
    bytes += tensor.size_bytes();
  }
  log_info(concat(model.name().text(), ": fetching its image tower ", tower.name, ", ",
                  human_bytes(static_cast<double>(bytes)), " of its files"));
  FileOps ops(ExitCode::kCheckpoint);
  ops.make_folder(folder.parent_path());
  const fs::path unfinished = temporary_beside(folder);
  ops.make_new_folder(unfinished);
  try {
    Progress progress("tensors", static_cast<int64_t>(entries.size()), log_is_quiet());
    write_safetensors(ops, unfinished / "model.safetensors", entries, [&](size_t i) {
      if (stop_signal() != 0) throw Stopped("stopped while downloading");
      progress.update(static_cast<int64_t>(i));
      return there.load(entries[i].name);
    });
    for (const char* name : {"config.json", "preprocessor_config.json"})
      copy_text(ops, model.cached_file(in_folder_of(weights, name)), unfinished / name);
    ops.rename(unfinished, folder);
  } catch (...) {
    std::error_code error;
    fs::remove_all(unfinished, error);
    throw;
  }
}

}  // namespace vit22b
