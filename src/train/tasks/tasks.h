#pragma once
#include <map>
#include <memory>
#include <string>

#include "train/data_setup.h"
#include "train/task.h"

namespace vit22b {

// The tasks, each in the file of its name.
std::unique_ptr<Task> make_classify(const TrainConfig& config);
/// throws  UsageError for a teacher of other classes, channels or widths
std::unique_ptr<Task> make_distill(const TrainConfig& config, const Device& device);

/// Gives a run's images its teachers' logits where the config wants them cached.
void attach_teachers(const TrainConfig& config, const Device& device, const Mesh& mesh,
                     TrainData& data);

std::unique_ptr<Task> make_lit(const TrainConfig& config, const Device& device);

/// What a classifier's validation says.
std::map<std::string, double> classification_metrics(Predictor& predictor, const DataSource& source,
                                                     const Transforms& transforms,
                                                     const EvalOptions& options);

}  // namespace vit22b
