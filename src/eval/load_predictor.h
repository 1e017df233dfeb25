#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"
#include "eval/vit_predictor.h"

namespace vit22b {

/// A checkpoint opened for inference.
struct LoadedModel {
  ModelInfo info;
  std::filesystem::path folder;
  std::unique_ptr<Predictor> predictor;
};

/// A checkpoint's weights, "resident" in memory or "streamed" from the file in every pass.
///
/// throws  CheckpointError as load_weights does; UsageError for another store, or a device that the
///         store does not serve
LoadedModel load_predictor(const std::filesystem::path& checkpoint, const PredictorOptions& options,
                           const std::string& store = "resident");

/// The store of a model's first weights, without a checkpoint: "generated" makes them anew in every
/// pass and keeps none, "resident" keeps them.
///
/// throws  UsageError for another store, or a device that the store does not serve
std::unique_ptr<WeightStore> make_fresh_store(const std::vector<ParameterRow>& table, uint64_t seed,
                                              const PredictorOptions& options,
                                              const std::string& store);
/// A model on such a store.
LoadedModel fresh_predictor(const ViTConfig& config, uint64_t seed, const PredictorOptions& options,
                            const std::string& store);

}  // namespace vit22b
