#pragma once
#include <filesystem>
#include <string>

#include "checkpoint/inner_tower.h"
#include "core/hub/hub_model.h"

namespace vit22b {

/// Fetches an image tower out of a hub's larger model: the headers of the files that have it, and
/// its tensors' bytes. The folder has config.json as the hub has it, and model.safetensors with the
/// tower's tensors under their names there; it appears whole or not at all.
///
/// model    of which configs are in its snapshot
/// weights  its file, or index of safetensors
/// throws   CheckpointError as RemoteBytes and open_safetensors do; for files of another format
void fetch_tower(HubModel& model, const InnerTower& tower, const std::string& weights,
                 const std::filesystem::path& folder);

}  // namespace vit22b
