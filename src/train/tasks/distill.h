#pragma once
#include <string>
#include <vector>

#include "train/task_options.h"

namespace vit22b {

/// The options under `distill.`.
struct DistillConfig : TaskOptions {
  std::vector<std::string> teachers;
  double temperature = 1;
  double feature_weight = 0;
  std::string logits = "live";
  std::string cache;
  std::string class_map;

  const char* name() const override { return "distill"; }
  std::unique_ptr<TaskOptions> copy() const override;
  std::unique_ptr<Task> make() const override;
  void fields(FieldVisitor& visitor) override;
  void check(const TrainConfig& config) const override;
  std::string set_in_vain() const override;
  std::vector<TaskPlace> places() override;
  OtherModels other_models(TrainConfig& config) const override;
};

}  // namespace vit22b
