#pragma once
#include <string>

#include "checkpoint/model_info.h"

namespace vit22b {

/// config.json's text: timm's layout with our fields under "vit22b".
std::string model_info_text(const ModelInfo& info);

/// A model's fields as one text, the same for equal models.
std::string fields_text(const ViTConfig& config);

}  // namespace vit22b
