#pragma once
#include <filesystem>

#include "core/file.h"
#include "model/context.h"
#include "train/step.h"

namespace vit22b {

/// A step that has gone wrong, and where to write about it.
struct StepScene {
  const Batch& batch;
  int64_t step;
  FileOps& ops;
  const std::filesystem::path& run_folder;
};

/// Stops a run whose loss or gradient norm is not finite, before the weights change.
///
/// Writes RUN/diagnosis.json with the step, the unit and tensor where it shows first, and the
/// samples. throws  NumbersError when it is not
void check_finite(const StepResult& result, const StepScene& scene, const TrainedTowers& towers);

}  // namespace vit22b
