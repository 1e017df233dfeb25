#pragma once
#include <string>
#include <vector>

#include "checkpoint/depth_info.h"
#include "train/task_options.h"

namespace vit22b {

/// The options under `depth.`.
struct DepthConfig : TaskOptions {
  DepthConfig() { output.output = "auto"; }
  DenseHeadConfig head;
  DepthOutput output;
  std::string unit = "mm";
  std::string loss = "siglog";
  double gradient_weight = 0;
  std::string crop = "none";
  bool is_padded_around = false;  ///< as DepthInfo has it
  std::string unlock;             ///< "", or as Unlock reads it

  const char* name() const override { return "depth"; }
  std::unique_ptr<TaskOptions> copy() const override;
  std::unique_ptr<Task> make() const override;
  void fields(FieldVisitor& visitor) override;
  void check(const TrainConfig& config) const override;
  /// Leaves the classifier of pictures out.
  void shape(ViTConfig& model) const override;
  std::vector<ParameterRow> rows(const TrainConfig& config) const override;
  /// What has no part in the maps does not train; of the rest what `unlock` says.
  void adjust_rules(const std::vector<ParameterRow>& table,
                    std::vector<ParameterRule>& rules) const override;
  bool has_classes() const override { return false; }
  bool trains_own_alone(const TrainConfig& config) const override;
  bool is_mean_over_images() const override;

  /// What its checkpoints say of the head.
  DepthInfo info() const { return {head, output.of(head.is_of_pixels()), is_padded_around}; }
};

}  // namespace vit22b
