#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/config.h"

namespace vit22b {

/// The evaluation transform that timm's create_transform makes of a pretrained_cfg, in the
/// mini-language; what it leaves out has the values that timm gives it.
///
/// config  whose channels and image size the result has
/// throws  CheckpointError for an interpolation that PIL does not have
/// source  timm data/config.py resolve_data_config, data/transforms_factory.py
std::string timm_pp_eval(const nlohmann::ordered_json& pretrained_cfg, const ViTConfig& config);

/// The fields of pretrained_cfg that say what pp_eval does: mean, std, interpolation, crop_pct,
/// crop_mode. What timm has no words for is null, and `notes` says so.
nlohmann::ordered_json timm_preprocessing(const std::string& pp_eval, const ViTConfig& config);

}  // namespace vit22b
