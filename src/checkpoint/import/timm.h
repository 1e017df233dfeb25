#pragma once
#include <filesystem>
#include <string>

#include "checkpoint/model_folder.h"

namespace vit22b {

/// The model and transform that a timm config.json describes: its model_args where given, else what
/// the weights' shapes and the architecture's name tell.
///
/// json_text  the whole file
/// folder     holds the weights whose shapes are read
/// throws     CheckpointError for an architecture that is no plain or parallel vision transformer
ModelInfo import_timm_config(const std::string& json_text, const std::filesystem::path& folder);

/// A config.json with which timm.create_model("local-dir:FOLDER") builds the same function.
std::string timm_config_text(const ViTConfig& config, const std::string& pp_eval);

}  // namespace vit22b
