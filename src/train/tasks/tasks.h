#pragma once
#include <map>
#include <memory>
#include <string>

#include "train/task.h"
#include "train/task_options.h"

namespace vit22b {

// The tasks, each in the file of its name; tasks/registry.cpp lists them.
std::unique_ptr<TaskOptions> classify_options();
std::unique_ptr<TaskOptions> depth_options();
std::unique_ptr<TaskOptions> distill_options();
std::unique_ptr<TaskOptions> lit_options();
std::unique_ptr<TaskOptions> segment_options();

/// What a classifier's validation says: the metrics, and their values.
std::vector<Metric> classification_metrics();
std::map<std::string, double> classification_values(Predictor& predictor, const DataSource& source,
                                                    const Transforms& transforms,
                                                    const Validation& validation);

}  // namespace vit22b
