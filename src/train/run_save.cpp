#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "eval/vit_predictor.h"
#include "store/tower_view.h"
#include "train/averaged_weights.h"
#include "train/run.h"
#include "train/run_log.h"

namespace vit22b {

bool Run::is_stop_asked() const {
  return stop_signal() != 0;
}

void Run::validate() {
  if (data_.val == nullptr) return;
  const PredictorOptions how{options_.device,
                             config_.precision,
                             config_.engine,
                             /*keeps_packed=*/false,  // the next step changes the weights
                             &mesh_,
                             config_.data.any_size};
  VitPredictor predictor(config_.model, store_, how);
  std::optional<VitPredictor> image;
  if (trains_images())
    image.emplace(lit_->image.config, std::make_shared<TowerStore>(*store_, Tower::kImage), how);
  const EvalOptions options{.loss = config_.loss,
                            .mesh = &mesh_,
                            .num_workers = config_.data.workers,
                            .max_bad_fraction = config_.data.max_bad_fraction,
                            .should_stop = [this] { return is_stop_asked(); }};
  const AveragedWeights averages(*sinks_.updating, *store_, config_.optim.polyak, state_.step);
  try {
    const auto metrics =
        task_->validate({predictor, image ? &*image : nullptr}, *data_.val, *pp_eval_, options);
    state_.is_eval_pending = false;
    append_metrics([&] { return validation_line(state_.step, metrics); });
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

ModelInfo Run::model_info() const {
  if (lit_) return lit_->info(config_.model);
  return {config_.model, config_.data.pp_eval, config_.data.label_names, std::nullopt,
          config_.data.any_size};
}

void Run::append_metrics(const std::function<std::string()>& line) {
  mesh_.do_once([&] { folder_->append_metrics(line()); });
}

void Run::save() {
  state_.layout = run_layout(mesh_);
  state_.metrics_bytes =
      std::stoll(mesh_.once([&] { return std::to_string(folder_->metrics_bytes()); }));
  const AveragedWeights averages(*sinks_.updating, *store_, config_.optim.polyak, state_.step);
  RunParts parts{model_info(), owned_parts(*store_, table()), sinks_.updating->state(), state_,
                 [this](const at::Tensor& part) { memory_->release(part); }};
  if (lit_) parts.frozen = lit_->frozen();
  parts.optimizer.merge(averages.raw());
  CheckpointFolder(ops_, options_.out / "ckpt")
      .save(parts, mesh_, is_best_, {config_.keep_last, cadence_.keep});
  is_best_ = false;
}

}  // namespace vit22b
