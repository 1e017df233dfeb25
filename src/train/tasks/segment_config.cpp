#include "core/error.h"
#include "core/range.h"
#include "model/dense/dense_head.h"
#include "model/dense/patch_maps.h"
#include "train/config.h"
#include "train/tasks/dense_step.h"
#include "train/tasks/segment.h"
#include "train/tasks/unlock.h"

namespace vit22b {

void SegmentConfig::fields(FieldVisitor& v) {
  head.fields(v);
  labels.fields(v);
  v.field("num_classes", num_classes,
          "classes; 0 for as many as have names (classes.txt, data.label_names), or as the masks' "
          "values need");
  v.field("unlock", unlock,
          "what of the model trains beside the head: none, all, or a number of last blocks; empty: "
          "what tune, lora or freeze say, else none");
  v.choice("features", features, "live|cached",
           "of a model that does not train: made in every step, or of fixed views once and kept "
           "as bfloat16");
  v.field("cache", cache, "folder of cached features; the checkpoint's cache/ where empty");
  v.choice("class_weights", class_weights, "none|balanced",
           "of the pixels' losses: equal, or by the inverse of the classes' shares of the pixels");
  v.field("dice_weight", dice_weight, "adds so much of the Dice loss to the cross-entropy");
  v.field("part", part,
          "share of the training pictures, drawn by the seed: how a head does with few of them");
  v.field("window", window,
          "side of sliding windows for validation and use, in pixels; 0 for none");
  v.field("stride", stride, "between sliding windows; 0 for two thirds of one");
}

void SegmentConfig::check(const TrainConfig& c) const {
  head.check();
  [[maybe_unused]] const PatchMaps maps(c.model, head);  // refuses blocks that are not there
  check_range("segment.dice_weight", dice_weight, Range::from_zero());
  if (!(part > 0 && part <= 1)) throw UsageError("segment.part is ", part, ", want above 0 to 1");
  if (num_classes < 0 || num_classes > 65'535)
    throw UsageError("segment.num_classes is ", num_classes, ", want 0 to 65,535");
  if (!unlock.empty()) {
    [[maybe_unused]] const Unlock read(unlock, "segment.unlock");  // refuses other words
    if (!c.tune.empty() || c.model.adapters.exist())
      throw UsageError("segment.unlock=", unlock,
                       " and tune or lora both say what of the model trains; leave one of them");
  }
  if (c.data.mixup > 0)
    throw UsageError("task=segment: mixed pictures have no masks; use data.mixup=0");
  if (features != "cached") return;
  if (c.init_from.empty())
    throw UsageError(
        "segment.features=cached keeps what a checkpoint's model says; give init_from");
  if (!trains_own_alone(c))
    throw UsageError(
        "segment.features=cached is of a model that does not train; use segment.features=live");
}

void SegmentConfig::shape(ViTConfig& model) const {
  model.num_classes = 0;
}

std::vector<TaskPlace> SegmentConfig::places() {
  return {{"segment.cache", {&cache}, TaskPlace::Kind::kCache}};
}

SegmentationInfo SegmentConfig::info(const TrainConfig& config) const {
  SegmentationInfo info{head, config.data.label_names, labels, window, stride};
  if (info.names.empty()) info.names.resize(static_cast<size_t>(num_classes));
  if (info.names.empty())
    throw UsageError("the number of classes is not known; give segment.num_classes");
  return info;
}

std::vector<ParameterRow> SegmentConfig::rows(const TrainConfig& config) const {
  return segmentation_rows(info(config), config.model);
}

void SegmentConfig::adjust_rules(const std::vector<ParameterRow>& table,
                                 std::vector<ParameterRule>& rules) const {
  adjust_dense_rules(head, unlock, "segment.unlock", table, rules);
}

OtherModels SegmentConfig::other_models(TrainConfig& config) const {
  OtherModels models;
  if (features == "cached") models.looked_once = {config.model};
  return models;
}

bool SegmentConfig::trains_own_alone(const TrainConfig& config) const {
  return (unlock.empty() || unlock == "none") && config.tune.empty() &&
         !config.model.adapters.exist();
}

bool SegmentConfig::is_mean_over_images() const {
  return dice_weight == 0 && make_dense_head(head, {4, 1, 1})->is_of_one_picture();
}

}  // namespace vit22b
