#pragma once
#include <string>
#include <vector>

#include "checkpoint/segmentation_info.h"
#include "eval/pixel_predictor.h"
#include "train/task_options.h"

namespace vit22b {

/// The options under `segment.`.
struct SegmentConfig : TaskOptions {
  DenseHeadConfig head;
  MaskLabels labels;
  int64_t num_classes = 0;  ///< 0: as many as there are names, or as the masks' values need
  std::string unlock;       ///< "", or as Unlock reads it
  std::string features = "live";
  std::string cache;
  std::string class_weights = "none";
  double dice_weight = 0;
  double part = 1;  ///< of the training pictures
  int64_t window = 0, stride = 0;

  const char* name() const override { return "segment"; }
  std::unique_ptr<TaskOptions> copy() const override;
  std::unique_ptr<Task> make() const override;
  void fields(FieldVisitor& visitor) override;
  void check(const TrainConfig& config) const override;
  /// Leaves the classifier of pictures out.
  void shape(ViTConfig& model) const override;
  std::vector<TaskPlace> places() override;
  std::vector<ParameterRow> rows(const TrainConfig& config) const override;
  /// What has no part in the maps does not train; of the rest what `unlock` says.
  void adjust_rules(const std::vector<ParameterRow>& table,
                    std::vector<ParameterRule>& rules) const override;
  OtherModels other_models(TrainConfig& config) const override;
  bool has_classes() const override { return false; }
  bool trains_own_alone(const TrainConfig& config) const override;
  bool is_mean_over_images() const override;

  /// What its checkpoints say of the head; the classes are data.label_names.
  SegmentationInfo info(const TrainConfig& config) const;
};

}  // namespace vit22b
