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

bool Run::take_best(const std::map<std::string, double>& metrics) {
  const Metric primary = task_->metrics().front();
  const auto it = metrics.find(primary.name);
  VIT22B_CHECK(it != metrics.end(), "task=", config_.task, " gives no ", primary.name);
  if (!BestSave{state_.best_step, state_.best_metric}.is_beaten_by(it->second, primary))
    return false;
  state_.best_metric = it->second;
  state_.best_step = state_.step;
  return true;
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
  if (image_tower_)
    image.emplace(image_tower_->config, std::make_shared<TowerStore>(*store_, Tower::kImage), how);
  size_t num_bad = 0;
  // Images that cannot be read are named and left out: none of them is worth the training.
  const EvalOptions options{.loss = config_.loss,
                            .mesh = &mesh_,
                            .num_workers = config_.data.workers,
                            .max_bad_fraction = 1,
                            .max_pixels = config_.data.max_pixels,
                            .should_stop = [this] { return is_stop_asked(); },
                            .on_bad_samples =
                                [&](const std::vector<BadSample>& bad) {
                                  num_bad = bad.size();
                                  note_bad_samples(bad);
                                }};
  const AveragedWeights averages(*sinks_.updating, *store_, config_.optim.polyak, state_.step);
  try {
    auto metrics =
        task_->validate({predictor, image ? &*image : nullptr}, *data_.val, *pp_eval_, options);
    state_.is_eval_pending = false;
    if (num_bad > 0) metrics["bad_samples"] = static_cast<double>(num_bad);
    append_metrics([&] { return validation_line(state_.step, metrics); });
    is_best_ = take_best(metrics);
    log_info(concat(validation_text(state_.step, task_->metrics(), metrics),
                    num_bad > 0 ? concat("  (", num_bad, " images left out)") : ""));
  } catch (const Stopped&) {
    is_stopping_ = true;  // the validation is done first thing after the resume
  }
}

void Run::validate_and_record() {
  state_.is_eval_pending = true;
  const bool is_saved = saved_step_ == state_.step;
  validate();
  // What a stop has cut short is in the save already, as due.
  if (state_.is_eval_pending ? !is_saved : is_saved || is_best_) save();
}

void Run::keep_step(const BatchLoader& loader) {
  const int64_t step = state_.step;
  const bool is_end = step == cadence_.total;
  state_.is_eval_pending = data_.val != nullptr && is_due(step, cadence_.eval, cadence_.total);
  if (is_end || is_stopping_ || is_due(step, cadence_.ckpt, cadence_.total)) {
    note_bad_samples(loader.bad_samples());
    save();
  }
  if (state_.is_eval_pending) validate_and_record();
}

void Run::append_metrics(const std::function<std::string()>& line) {
  mesh_.do_once([&] { folder_->append_metrics(line()); });
}

// Of a step that has been saved already, the state alone is new: a validation has come after it.
void Run::save() {
  state_.metrics_bytes =
      std::stoll(mesh_.once([&] { return std::to_string(folder_->metrics_bytes()); }));
  CheckpointFolder checkpoints(ops_, options_.out / "ckpt");
  const KeepPolicy keep{config_.keep_last, cadence_.keep};
  if (saved_step_ == state_.step) {
    checkpoints.amend(state_, mesh_, is_best_, keep);
    is_best_ = false;
    return;
  }
  state_.layout = run_layout(config_, mesh_);
  const AveragedWeights averages(*sinks_.updating, *store_, config_.optim.polyak, state_.step);
  RunParts parts{task_->model_info(config_), owned_parts(*store_, table()),
                 sinks_.updating->state(), state_,
                 [this](const at::Tensor& part) { memory_->release(part); }};
  parts.frozen = task_->frozen_parts();
  parts.optimizer.merge(averages.raw());
  checkpoints.save(parts, mesh_, is_best_, keep);
  saved_step_ = state_.step;
  is_best_ = false;
}

}  // namespace vit22b
