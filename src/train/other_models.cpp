#include "train/other_models.h"

#include "checkpoint/model_info.h"
#include "model/flops.h"
#include "train/config.h"

namespace vit22b {

double OtherModels::flops() const {
  double flops = 0;
  if (trained_image) flops += train_flops(*trained_image, {trained_share, trained_share});
  for (const ViTConfig& model : looking) flops += forward_flops(model);
  return flops;
}

ViTConfig config_at(const std::string& checkpoint) {
  return read_model_info(resolve_checkpoint(checkpoint)).config;
}

OtherModels other_models(TrainConfig& config) {
  return config.task_options().other_models(config);
}

}  // namespace vit22b
