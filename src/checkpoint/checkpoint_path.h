#pragma once
#include <filesystem>
#include <string>

namespace vit22b {

/// Where a checkpoint is: its folder, and which file of the folder its weights are.
struct CheckpointPath {
  /// file  "" for model.safetensors, or its index where the weights are in shards
  CheckpointPath(std::filesystem::path place = {},  // NOLINT: a folder is a checkpoint's place
                 std::string file = "")
      : folder(std::move(place)), weights(std::move(file)) {}

  std::filesystem::path folder;  ///< holds config.json and the weights
  std::string weights;           ///< a plain file name: weights, or an index of shards; or ""
  std::string importer = {};     ///< who reads it; "" for the first that recognises it

  /// The folder, or the file that was named, as a person would write it.
  std::filesystem::path path() const { return weights.empty() ? folder : folder / weights; }
};

/// CKPT as users write it: a checkpoint folder, a run folder (its ckpt/latest), or a file of
/// weights or an index of shards beside a config.json, which then is the one that is used.
///
/// throws  CheckpointError saying what was looked for
CheckpointPath resolve_checkpoint(const std::filesystem::path& path);

}  // namespace vit22b
