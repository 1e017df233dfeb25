#include "train/step_rehearsal.h"

#include "eval/vit_predictor.h"
#include "store/generated.h"

namespace vit22b {

StepRehearsal::StepRehearsal(const TrainConfig& config)
    : config_(config),
      table_(parameter_table(config.model)),
      engine_(make_engine(config.engine)),
      optimizer_(make_optimizer(config.optim)) {
  GeneratedSource source(/*seed=*/0);
  store_ = make_store(config_, table_, source, memory_, c10::kCPU, mesh_);
  sinks_ = make_sinks(config_, table_, {*optimizer_, *store_, mesh_, memory_});
}

ModelContext StepRehearsal::context() const {
  return {config_.model, *engine_, mesh_, precision_type(config_.precision),
          activation_policy(config_)};
}

StepResult StepRehearsal::step(const Task& task, const Batch& batch, double learning_rate_scale) {
  return run_step({context(), *store_, sinks_.first()}, task,
                  {batch, config_.accumulate, false, {.learning_rate_scale = learning_rate_scale}});
}

VitOutputs StepRehearsal::forward(const at::Tensor& input) {
  return vit_forward(context(), *store_, input, {});
}

}  // namespace vit22b
