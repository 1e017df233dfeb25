#pragma once
#include <string>
#include <vector>

#include "train/task_options.h"

namespace vit22b {

/// The options under `lit.`.
struct LitConfig : TaskOptions {
  std::string image_tower;
  std::string tokenizer = "train:4000";
  std::vector<std::string> templates = {"{}"};
  std::string images = "cached";
  std::string cache;
  std::string unlock = "none";
  double image_lr = 1;

  /// Whether the image tower trains too.
  bool is_unlocked() const { return unlock != "none"; }
  /// Whether images go through the image tower in every step.
  bool is_live() const { return images == "live" || is_unlocked(); }
  /// The share of an image tower's blocks that train.
  ///
  /// throws  UsageError for an `unlock` that is no word of its
  double trained_share(int64_t depth) const;

  const char* name() const override { return "lit"; }
  std::unique_ptr<TaskOptions> copy() const override;
  std::unique_ptr<Task> make() const override;
  void fields(FieldVisitor& visitor) override;
  void check(const TrainConfig& config) const override;
  std::string set_in_vain() const override;
  /// Turns a preset into a tower that reads words; how many there are is known with the tokenizer.
  void shape(ViTConfig& model) const override;
  std::vector<TaskPlace> places() override;
  void adjust_rules(const std::vector<ParameterRow>& table,
                    std::vector<ParameterRule>& rules) const override;
  OtherModels other_models(TrainConfig& config) const override;
  bool has_classes() const override { return false; }
  bool may_start_from() const override { return false; }
  bool is_mean_over_images() const override { return false; }
};

}  // namespace vit22b
