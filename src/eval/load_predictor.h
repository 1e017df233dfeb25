#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"
#include "eval/vit_predictor.h"

namespace vit22b {

/// What a checkpoint is, and what its classes are called.
struct NamedModel {
  ModelInfo info;  ///< with ImageNet's names where timm's tag says so and the folder has none
  std::vector<std::string> wnids;  ///< of ImageNet's classes in the model's order; else empty
};

/// Reads it without weights.
///
/// throws  CheckpointError as read_model_info does
NamedModel read_named_model(const CheckpointPath& checkpoint);

/// A checkpoint opened for inference.
struct LoadedModel : NamedModel {
  CheckpointPath checkpoint;
  std::unique_ptr<Predictor> predictor;
};

/// Opens a checkpoint.
///
/// throws  CheckpointError as load_weights does; UsageError for another store than there is
LoadedModel load_predictor(const std::filesystem::path& checkpoint,
                           const PredictorOptions& options);

/// A model with the weights that initialisation gives it, without a checkpoint: "generated" makes
/// them anew in every pass and keeps none, "resident" keeps them.
///
/// throws  UsageError for another store
LoadedModel fresh_predictor(const ViTConfig& config, uint64_t seed, const PredictorOptions& options,
                            const std::string& store);

}  // namespace vit22b
