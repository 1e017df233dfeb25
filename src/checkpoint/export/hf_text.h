#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/config.h"

namespace vit22b {

/// What configs of all of Hugging Face's families say alike.
nlohmann::ordered_json hf_config(const ViTConfig& config, const char* model_type,
                                 const char* architecture);

/// An activation in transformers' words.
std::string hf_activation(const std::string& act_layer);

/// preprocessor_config.json of a transform that resizes, crops and scales; "" of one that
/// transformers has no words for.
///
/// processor  transformers' class, such as "CLIPImageProcessor"
std::string hf_preprocessor_text(const std::string& pp_eval, const char* processor);

}  // namespace vit22b
