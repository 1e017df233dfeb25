#include "core/checked.h"
#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "eval/vit_predictor.h"
#include "store/tower_view.h"
#include "train/run.h"
#include "train/run_log.h"

namespace vit22b {
namespace {

/// Those of eval.evaluators that the validation of a step has its turn for.
std::vector<std::string> due_evaluators(const EvaluationConfig& config, int64_t step,
                                        const Cadence& cadence) {
  std::vector<std::string> due;
  for (const std::string& text : config.evaluators) {
    const AskedEvaluator asked = asked_evaluator(text);
    const int64_t every = checked_mul(cadence.eval, asked.every).value_or(INT64_MAX);
    if (is_due(step, every, cadence.total)) due.push_back(asked.name);
  }
  return due;
}

}  // namespace

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
  VitPredictor predictor(config_.model, model_->store(), how);
  std::optional<VitPredictor> image;
  if (const auto& tower = model_->image_tower())
    image.emplace(tower->config, std::make_shared<TowerStore>(*model_->store(), Tower::kImage),
                  how);
  size_t num_bad = 0;
  // Images that cannot be read are named and left out: none of them is worth the training.
  const EvalOptions options{.mesh = &mesh_,
                            .num_workers = config_.data.workers,
                            .max_bad_fraction = 1,
                            .max_pixels = config_.data.max_pixels,
                            .watch = {.should_stop = [this] { return is_stop_asked(); }},
                            .on_bad_samples = [&](const std::vector<BadSample>& bad) {
                              num_bad = bad.size();
                              books_.note_bad_samples(bad);
                            }};
  const AveragedWeights averages = model_->averages(state_.step);
  try {
    auto metrics = task_->validate({predictor, image ? &*image : nullptr, model_->own_weights()},
                                   *data_.val, *pp_eval_,
                                   {options,
                                    {config_.loss, config_.data.label_names},
                                    due_evaluators(config_.evaluation, state_.step, cadence_)});
    state_.is_eval_pending = false;
    if (num_bad > 0) metrics["bad_samples"] = static_cast<double>(num_bad);
    books_.append_metrics([&] { return validation_line(state_.step, metrics); });
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
    books_.note_bad_samples(loader.bad_samples());
    save();
  }
  if (state_.is_eval_pending) validate_and_record();
}

// Of a step that has been saved already, the state alone is new: a validation has come after it.
void Run::save() {
  state_.metrics_bytes = books_.metrics_bytes();
  CheckpointFolder checkpoints(ops_, options_.out / "ckpt");
  const KeepPolicy keep{config_.keep_last, cadence_.keep};
  if (saved_step_ == state_.step) {
    checkpoints.amend(state_, mesh_, is_best_, keep);
    is_best_ = false;
    return;
  }
  state_.layout = run_layout(config_, mesh_);
  const AveragedWeights averages = model_->averages(state_.step);
  RunParts parts{task_->model_info(config_), model_->weights(), model_->optimizer_state().state(),
                 state_, [this](const at::Tensor& part) { model_->release(part); }};
  parts.info.base = base_;
  parts.is_for_peft = is_for_peft_;
  parts.frozen = task_->frozen_parts();
  parts.optimizer.merge(averages.raw());
  checkpoints.save(parts, mesh_, is_best_, keep);
  saved_step_ = state_.step;
  is_best_ = false;
}

}  // namespace vit22b
