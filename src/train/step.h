#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "data/loader.h"
#include "model/context.h"
#include "train/task.h"

namespace vit22b {

/// What one step gave, agreed over all ranks.
struct StepResult {
  double loss = 0;
  bool should_stop = false;  ///< a rank was asked to stop
  StepReport report;
};

/// What a batch gives a model: images, or words.
at::Tensor model_input(const ViTConfig& config, const Batch& batch);

/// What one step works on.
struct StepWork {
  const Batch& batch;          ///< this rank's samples
  int64_t accumulate = 1;      ///< pieces that the batch is cut into
  bool is_stop_asked = false;  ///< on this rank
  StepContext step;
};

/// The towers that train, over one store and one sink; all outlive it.
struct TrainedTowers {
  ModelContext main;
  WeightStore& store;
  GradientSink& sink;
  std::optional<ModelContext> image = std::nullopt;  ///< trains beside the main one, a text tower
  bool has_own_weights = false;                      ///< the task's
};

/// Every tower's forward, one loss, and every tower's backward for a batch in its pieces, then the
/// sink's finish.
///
/// The stop flag travels in the loss's own reduction.
StepResult run_step(const TrainedTowers& towers, const Task& task, const StepWork& work);

}  // namespace vit22b
