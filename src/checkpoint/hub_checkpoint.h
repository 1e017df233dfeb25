#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "core/hub/hub_listing.h"
#include "core/hub/hub_settings.h"

namespace vit22b {

/// The checkpoint that hf:OWNER/NAME[@REVISION][:FILE] names, in the hub's cache on this machine:
/// as it is there, if all that it is made of is; else what is missing is fetched first.
///
/// Of a model that holds an image tower among other tensors (see InnerTower) that tower alone is
/// fetched, into ~/.cache/vit22b/towers: its byte ranges out of the files that have it.
///
/// tower   which, of several; or ""
/// throws  UsageError for a name that is none; CheckpointError where the hub, or the cache when
///         offline, does not have it, saying what it has instead
CheckpointPath hub_checkpoint(const std::string& text, const HubSettings& settings,
                              const std::string& tower = "");

/// The checkpoint at https://…/FILE, kept in ~/.cache/vit22b/downloads with the configs that lie
/// beside it; not asked for again where it is there.
///
/// throws  CheckpointError as download
CheckpointPath url_checkpoint(const std::string& url, const HubSettings& settings);

/// What a model's folder may have beside its weights that says what it is. Each has to be known to
/// be there or not before the model is read: without the second pictures would be prepared as the
/// family's are, without a word.
constexpr const char* kModelConfigs[] = {"config.json", "preprocessor_config.json",
                                         "open_clip_config.json"};
/// A file in the folder of another one of a tree.
std::string in_folder_of(const std::string& file, const std::string& name);
/// Of a model's files those that say what it is and how its pictures and texts are prepared, in the
/// folder of its weights.
std::vector<std::string> files_beside(const HubListing& listing, const std::string& weights);
/// The file of a model's weights: the one that its folder's readers take. An index where they are
/// in shards.
///
/// named    the file that a user wants; or ""
/// throws   CheckpointError where it is not there, or none is, or several of which none comes first
std::string weights_among(const std::vector<std::string>& files, const std::string& named,
                          const std::string& model);

}  // namespace vit22b
