#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/config.h"

namespace vit22b {

/// What configs of all of Hugging Face's families say alike.
nlohmann::ordered_json hf_config(const ViTConfig& config, const char* model_type,
                                 const char* architecture);

/// config.json, and preprocessor_config.json of a transform that resizes, crops and scales; none of
/// one that transformers has no words for.
///
/// processor  transformers' class, such as "CLIPImageProcessor"
std::map<std::string, std::string> hf_texts(const nlohmann::ordered_json& config,
                                            const std::string& pp_eval, const char* processor);

}  // namespace vit22b
