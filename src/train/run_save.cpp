#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "eval/vit_predictor.h"
#include "train/run.h"
#include "train/run_log.h"

namespace vit22b {

bool Run::is_stop_asked() const {
  return stop_signal() != 0;
}

void Run::validate() {
  if (data_.val == nullptr) return;
  VitPredictor predictor(config_.model, store_,
                         {options_.device, config_.precision, config_.engine,
                          /*keeps_packed=*/false});  // the next step changes the weights
  const EvalOptions options{.loss = config_.loss,
                            .mesh = &mesh_,
                            .num_workers = config_.data.workers,
                            .max_bad_fraction = config_.data.max_bad_fraction,
                            .should_stop = [this] { return is_stop_asked(); }};
  try {
    const auto metrics = task_->validate(predictor, *data_.val, *pp_eval_, options);
    state_.is_eval_pending = false;
    folder_.append_metrics(validation_line(state_.step, metrics));
    const double accuracy = metrics.at("accuracy");
    is_best_ = accuracy > state_.best_metric;
    if (is_best_) {
      state_.best_metric = accuracy;
      state_.best_step = state_.step;
    }
    log_info(concat("step ", state_.step, "  val accuracy ", accuracy, "  val loss ",
                    metrics.at("loss")));
  } catch (const Stopped&) {
    state_.is_eval_pending = true;  // done again first thing after the resume
    is_stopping_ = true;
  }
}

void Run::save() {
  RunCheckpoint checkpoint;
  checkpoint.info = {config_.model, config_.data.pp_eval, config_.data.label_names};
  checkpoint.weights = store_->by_full_name();
  checkpoint.optimizer = sink_->state();
  state_.metrics_bytes = folder_.metrics_bytes();
  state_.layout = run_layout();
  checkpoint.state = state_;
  mesh_.once([&] {
    folder_.checkpoints().save(checkpoint, is_best_, {config_.keep_last, cadence_.keep});
    return std::string();
  });
  is_best_ = false;
}

}  // namespace vit22b
