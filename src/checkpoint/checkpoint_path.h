#pragma once
#include <filesystem>
#include <string>

namespace vit22b {

/// The tower of a two-tower checkpoint that reads words.
constexpr const char* kTextTower = "text";

/// Where a checkpoint is: its folder, which file of the folder its weights are, and whose.
struct CheckpointPath {
  /// file  "" for model.safetensors, or its index where the weights are in shards
  CheckpointPath(std::filesystem::path place = {},  // NOLINT: a folder is a checkpoint's place
                 std::string file = "")
      : folder(std::move(place)), weights(std::move(file)) {}

  std::filesystem::path folder;  ///< holds config.json and the weights
  std::string weights;           ///< a plain file name: weights, or an index of shards; or ""
  std::string importer = {};     ///< who reads it; "" for the first that recognises it
  std::string tower = {};        ///< "" for the one that sees images, or kTextTower
  /// Which image tower of a model that holds several among others (see InnerTower); "" for the only
  /// one.
  std::string image_tower = {};
  /// What the files do not say of the image tower: its keys and values,
  /// "num_heads=12&norm_eps=1e-5".
  std::string given = {};

  /// The folder, or the file that was named, as a person would write it; `given` behind a '?'.
  std::filesystem::path path() const;
};

/// Whether CKPT is to be fetched from elsewhere: a hub's name, hf:OWNER/NAME, or an address.
bool is_remote_checkpoint(const std::string& place);
/// Whether there may be a checkpoint of that name: what stands before a '?' is there on this
/// machine, or elsewhere.
bool may_be_checkpoint(const std::string& place);

/// CKPT as users write it: hf:OWNER/NAME[@REVISION][:FILE] or https://…/FILE, which are fetched
/// where they are not in this machine's cache (see hub_checkpoint); a checkpoint folder, a run
/// folder (its ckpt/latest), or a file of weights or an index of shards, which then is the one that
/// is used; behind a '?' what it does not say of the model, as "vit.pth?num_heads=12"; "tower=NAME"
/// there names one of several image towers.
///
/// throws  CheckpointError saying what was looked for
CheckpointPath resolve_checkpoint(const std::filesystem::path& path);

}  // namespace vit22b
