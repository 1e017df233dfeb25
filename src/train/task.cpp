#include "train/task.h"

#include <ATen/ATen.h>

#include "train/state_setup.h"

namespace vit22b {

void Task::complete(const RunScene& scene) {
  scene.mesh.agree([&] {
    complete_from_data(scene.config, *scene.data.train, scene.start.string());
    match_validation(scene.config, scene.data);
  });
}

std::unique_ptr<WeightSource> Task::first_weights(const TrainConfig& config) const {
  return vit22b::first_weights(config);
}

ModelInfo Task::model_info(const TrainConfig& config) const {
  return {config.model, config.data.pp_eval, config.data.label_names, std::nullopt,
          config.data.any_size};
}

at::Tensor made_up_images(const ViTConfig& model, int64_t images) {
  return at::randn({images, model.in_chans, model.img_size.height, model.img_size.width});
}

std::unique_ptr<Task> make_task(const TrainConfig& config, const Device& device) {
  std::unique_ptr<Task> task = config.task_options().make();
  task->prepare(config, device);
  return task;
}

}  // namespace vit22b
