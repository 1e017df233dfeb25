#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/config.h"

namespace vit22b {

/// A config.json with which timm.create_model("local-dir:FOLDER") builds the same function; it
/// names no architecture where timm has none with the norms' eps, so that timm refuses it.
std::string timm_config_text(const ViTConfig& config, const std::string& pp_eval);

/// The same with an architecture and its arguments; "" names none.
std::string timm_config_text(const ViTConfig& config, const std::string& pp_eval,
                             const std::string& architecture,
                             const nlohmann::ordered_json& model_args);

}  // namespace vit22b
