#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/container/tensor_container.h"
#include "checkpoint/model_info.h"
#include "checkpoint/tensor_map.h"

namespace vit22b {

/// The file of what a checkpoint has beside another's weights: adapters, and whatever else was
/// trained. Names are the model's behind kAdapterPrefix, as PEFT has them.
constexpr const char* kAdapterFile = "adapter_model.safetensors";
constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr std::string_view kAdapterPrefix = "base_model.model.";
constexpr std::string_view kBasePrefix = "base:";
/// What says, behind a checkpoint's place, where its base is.
constexpr std::string_view kGivenBase = "base=";

/// A checkpoint as what others stand beside.
///
/// place   CKPT as users write it
/// throws  CheckpointError where it cannot be read, or stands beside too many others itself
BaseWeights base_weights(const std::string& place);

/// The weights that a checkpoint stands beside: nothing for one that has all of its own. Behind a
/// '?' the checkpoint's place may say where they are now, as "base=CKPT".
///
/// throws  CheckpointError where config.json cannot be read
std::optional<BaseWeights> find_base(const CheckpointPath& checkpoint);

/// What such a checkpoint has itself, and all of its base, whose tensors' names have kBasePrefix.
///
/// throws  CheckpointError naming both places where the base is not there, or another than it was
TensorContainer open_beside_base(const CheckpointPath& checkpoint, const BaseWeights& base);

/// What each tensor of those is for. A table that has no rows for the adapters gets them added to
/// the weights, W + alpha / rank · B A.
TensorMap map_beside_base(const CheckpointPath& checkpoint, const BaseWeights& base,
                          const AdapterConfig& adapters, const std::vector<ParameterRow>& table,
                          const TensorContainer& weights);

/// Why PEFT would make another model of such files, or none, in a few words; "" where it would not,
/// and for files without adapters.
///
/// names   the model's, of what the files have
/// throws  CheckpointError where the base cannot be read
std::string peft_obstacle(const ViTConfig& config, const BaseWeights& base,
                          const std::set<std::string>& names);

/// The text of adapter_config.json, by which PEFT reads these files beside timm's model.
///
/// names  the model's, of what the file has
std::string adapter_config_text(const ModelInfo& info, const std::set<std::string>& names);

}  // namespace vit22b
