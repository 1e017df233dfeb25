#pragma once
#include <filesystem>

#include "core/file.h"
#include "model/context.h"
#include "train/step.h"

namespace vit22b {

/// Stops a run whose loss or gradient norm is not finite, before the weights change.
///
/// Writes RUN/diagnosis.json with the step, the unit and tensor where it shows first, and the
/// samples. throws  NumbersError when it is not
void check_finite(const StepResult& result, int64_t step, const ModelContext& context,
                  WeightStore& store, const Batch& batch, FileOps& ops,
                  const std::filesystem::path& run_folder);

}  // namespace vit22b
