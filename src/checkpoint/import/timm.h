#pragma once
#include <string>

#include "checkpoint/model_folder.h"

namespace vit22b {

/// The model and transform that a timm config.json describes: its model_args, else what timm's
/// registry says that the architecture is; depth and image size are the weights'.
///
/// json_text  the whole file
/// throws     CheckpointError as model_of_timm_args, and where the weights are of another model
ModelInfo import_timm_config(const std::string& json_text, const CheckpointPath& checkpoint);

/// A config.json with which timm.create_model("local-dir:FOLDER") builds the same function; it
/// names no architecture where timm has none with the norms' eps, so that timm refuses it.
std::string timm_config_text(const ViTConfig& config, const std::string& pp_eval);

}  // namespace vit22b
