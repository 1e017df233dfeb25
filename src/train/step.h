#pragma once
#include <ATen/core/Tensor.h>

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

/// Forward, loss and backward of a batch in `accumulate` pieces, then the sink's finish.
///
/// The stop flag travels in the loss's own reduction.
StepResult run_step(const ModelContext& context, WeightStore& store, GradientSink& sink,
                    const Task& task, const Batch& batch, int64_t accumulate, bool is_stop_asked,
                    StepContext step);

}  // namespace vit22b
