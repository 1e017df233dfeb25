#include "core/error.h"
#include "core/range.h"
#include "data/depth_values.h"
#include "measure/depth.h"
#include "train/config.h"
#include "train/tasks/dense_step.h"
#include "train/tasks/depth.h"
#include "train/tasks/unlock.h"

namespace vit22b {

void DepthConfig::fields(FieldVisitor& v) {
  head.fields(v);
  output.fields(v);
  v.field("padded_around", is_padded_around,
          "pictures are filled to whole patches around them (DINOv2's heads), not below and on the "
          "right; of inference");
  v.field("unit", unit,
          "of the depth maps' PNGs: mm, cm, m, or metres a step such as 1/256 (KITTI)");
  v.choice("loss", loss, "siglog|log1p|ssi",
           "scale-invariant in logarithms (DINOv2's), the squared error of ln(1 + depth) (the "
           "paper's), or of output=relative whatever the scale and the shift (MiDaS')");
  v.field("gradient_weight", gradient_weight,
          "adds so much of the loss of the depths' gradients (DINOv2: 0.5)");
  v.choice("crop", crop, depth_crops(), "part of validation's pictures that counts");
  v.field("unlock", unlock,
          "what of the model trains beside the head: none, all, or a number of last blocks; empty: "
          "what tune, lora or freeze say, else none");
}

void DepthConfig::check(const TrainConfig& c) const {
  head.check();
  const DepthOutput own = info().output;
  own.check();
  [[maybe_unused]] const PatchMaps maps(c.model, head);  // refuses blocks that are not there
  [[maybe_unused]] const double step = depth_step_m(unit);
  check_range("depth.gradient_weight", gradient_weight, Range::from_zero());
  if ((loss == "ssi") != own.is_relative())
    throw UsageError("depth.loss=", loss, " with depth.output=", own.output,
                     ": relative depths have the loss ssi, and it is theirs alone");
  if (head.head == "upernet" && head.aux_channels > 0)
    throw UsageError("depth: the auxiliary head of upernet has no loss; depth.aux_channels=0");
  if (!unlock.empty()) {
    [[maybe_unused]] const Unlock read(unlock, "depth.unlock");  // refuses other words
    if (!c.tune.empty() || c.model.adapters.exist())
      throw UsageError("depth.unlock=", unlock,
                       " and tune or lora both say what of the model trains; leave one of them");
  }
  if (c.data.mixup > 0)
    throw UsageError("task=depth: mixed pictures have no depth; use data.mixup=0");
}

void DepthConfig::shape(ViTConfig& model) const {
  model.num_classes = 0;
}

std::vector<ParameterRow> DepthConfig::rows(const TrainConfig& config) const {
  return depth_rows(info(), config.model);
}

void DepthConfig::adjust_rules(const std::vector<ParameterRow>& table,
                               std::vector<ParameterRule>& rules) const {
  adjust_dense_rules(head, unlock, "depth.unlock", table, rules);
}

bool DepthConfig::trains_own_alone(const TrainConfig& config) const {
  return (unlock.empty() || unlock == "none") && config.tune.empty() &&
         !config.model.adapters.exist();
}

bool DepthConfig::is_mean_over_images() const {
  return make_dense_head(head, {4, 1, 1})->is_of_one_picture();
}

}  // namespace vit22b
