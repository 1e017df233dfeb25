#include "train/batch_trainer.h"

#include "checkpoint/adapters.h"
#include "checkpoint/model_writer.h"
#include "core/error.h"
#include "eval/vit_predictor.h"

namespace vit22b {

BatchTrainer::BatchTrainer(const TrainConfig& config, const Device& device)
    : config_(config),
      device_(torch_device(device)),
      schedule_(make_schedule(config, /*examples_per_epoch=*/0)) {
  if (config_.state == "file")
    throw UsageError("state=", config_.state, " is of a run's folder; use state=memory");
  model_ = std::make_unique<TrainedModel>(
      TrainedModel::Parts{.config = config_,
                          .device = device_,
                          .mesh = mesh_,
                          .memory = make_state_memory(config_.state, device_),
                          .folder = std::filesystem::temp_directory_path()},
      first_weights(config_));
  // Without a base only rehearsals add to a model, and they save nothing.
  if (!config_.saves_beside_base() || config_.init_from.empty()) return;
  base_ = base_weights(config_.init_from);
  is_for_peft_ =
      config_.model.adapters.exist() && peft_obstacle(config_.model, *base_, model_->own()).empty();
}

StepResult BatchTrainer::run(const Task& task, const Batch& batch, const StepContext& step) {
  const at::NoGradGuard no_grad;
  return run_step(model_->towers(), task,
                  {batch.to(device_), config_.accumulate, /*is_stop_asked=*/false, step});
}

StepResult BatchTrainer::step(const Task& task, const Batch& batch) {
  StepResult result = run(task, batch,
                          {.step = steps_,
                           .learning_rate_scale = schedule_.at(steps_),
                           .seed = static_cast<uint64_t>(config_.seed)});
  ++steps_;
  if (!std::isfinite(result.loss) || !std::isfinite(result.report.gradient_norm))
    throw NumbersError("step ", steps_, ": the ",
                       std::isfinite(result.loss) ? "gradient norm" : "loss",
                       " is not finite. Look at the images; lower optim.lr, lengthen the warm-up, "
                       "or use precision=fp32");
  return result;
}

StepResult BatchTrainer::rehearse(const Task& task, const Batch& batch,
                                  double learning_rate_scale) {
  return run(task, batch, {.learning_rate_scale = learning_rate_scale});
}

VitOutputs BatchTrainer::forward(const at::Tensor& input) {
  const at::NoGradGuard no_grad;
  const AveragedWeights averages = model_->averages(steps_);
  return vit_forward(model_->towers().main, *model_->store(), input.to(device_), {});
}

void BatchTrainer::save(FileOps& ops, const std::filesystem::path& folder) {
  const at::NoGradGuard no_grad;
  const AveragedWeights averages = model_->averages(steps_);
  const std::string& pp_eval = config_.data.pp_eval;
  ModelInfo info{config_.model, pp_eval.empty() ? default_pp_eval(config_.model) : pp_eval,
                 config_.data.label_names};
  info.base = base_;
  const NamedParts weights = model_->weights();
  make_recorded_folder(ops, folder, [&](const std::filesystem::path& beside, Manifest& manifest) {
    write_model(ops, beside, info, PartsToWrite{weights, {}, is_for_peft_}, mesh_, manifest);
  });
}

}  // namespace vit22b
