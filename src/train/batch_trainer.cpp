#include "train/batch_trainer.h"

#include "checkpoint/model_folder.h"
#include "core/error.h"
#include "eval/vit_predictor.h"
#include "train/averaged_weights.h"

namespace vit22b {

BatchTrainer::BatchTrainer(const TrainConfig& config, const Device& device)
    : config_(config),
      table_(parameter_table(config.model)),
      device_(torch_device(device)),
      memory_(make_state_memory(config.state, device_)),
      engine_(make_engine(config.engine, mesh_, precision_type(config.precision))),
      optimizer_(make_optimizer(config.optim)),
      schedule_(make_schedule(config, /*examples_per_epoch=*/0)) {
  if (config_.state == "file")
    throw UsageError("state=", config_.state, " is of a run's folder; use state=memory");
  const auto source = first_weights(config_);
  store_ = make_store(config_, table_, *source, *memory_, device_, mesh_);
  sinks_ = make_sinks(config_, table_, {*optimizer_, *store_, mesh_, *memory_});
  inputs_ = make_block_inputs(config_, std::filesystem::temp_directory_path());
}

ModelContext BatchTrainer::context() const {
  return {config_.model,
          *engine_,
          mesh_,
          precision_type(config_.precision),
          activation_policy(config_),
          /*packed=*/nullptr,
          inputs_.get(),
          residual_type(config_.precision)};
}

StepResult BatchTrainer::run(const Task& task, const Batch& batch, const StepContext& step) {
  const at::NoGradGuard no_grad;
  return run_step({context(), *store_, sinks_.first()}, task,
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
  const AveragedWeights averages(*sinks_.updating, *store_, config_.optim.polyak, steps_);
  return vit_forward(context(), *store_, input.to(device_), {});
}

void BatchTrainer::save(FileOps& ops, const std::filesystem::path& folder) {
  const at::NoGradGuard no_grad;
  const AveragedWeights averages(*sinks_.updating, *store_, config_.optim.polyak, steps_);
  const std::string& pp_eval = config_.data.pp_eval;
  const ModelInfo info{config_.model, pp_eval.empty() ? default_pp_eval(config_.model) : pp_eval,
                       config_.data.label_names};
  make_recorded_folder(ops, folder, [&](const std::filesystem::path& beside, Manifest& manifest) {
    write_model(ops, beside, info, PartsToWrite{owned_parts(*store_, table_)}, mesh_, manifest);
  });
}

}  // namespace vit22b
