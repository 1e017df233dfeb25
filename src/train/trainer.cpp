#include "train/trainer.h"

#include <chrono>

#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/trace.h"
#include "dist/trace_file.h"
#include "eval/vit_predictor.h"
#include "model/embedding.h"
#include "train/guard.h"
#include "train/monitor.h"
#include "train/run.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/throughput.h"

namespace vit22b {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Mixing takes an image's neighbour in the step's whole batch: that of a share's first image may be
// another rank's, and is read here as well.
std::optional<int64_t> mixing_neighbour(const DataConfig& data, const Share& share) {
  if (data.mixup <= 0 || share.count == data.batch_size) return std::nullopt;
  return (share.first + data.batch_size - 1) % data.batch_size - share.first;
}

}  // namespace

bool is_due(int64_t step, int64_t every, int64_t total) {
  return every > 0 && (step % every == 0 || step == total);
}

void Run::loop() {
  const SavesFirst until_saved;
  const Transforms pp_train(config_.data.pp_train, static_cast<uint64_t>(config_.seed),
                            task_->tokenizer());
  const Share share = mesh_.share(MeshAxis::kData, config_.data.batch_size);
  BatchLoader loader(*data_.train, pp_train,
                     {.batch_size = share.count,
                      .stride = config_.data.batch_size,
                      .first_index = static_cast<uint64_t>(state_.examples_seen + share.first),
                      .neighbour = mixing_neighbour(config_.data, share),
                      .num_workers = config_.data.workers,
                      .seed = static_cast<uint64_t>(config_.seed),
                      .max_bad_fraction = config_.data.max_bad_fraction,
                      .max_pixels = config_.data.max_pixels,
                      .is_pinned = options_.device.is_cuda()});
  try {
    train_steps(loader);
  } catch (const UserError& error) {
    // Data that ends a run costs it no step; and the list is what a person mends the data by.
    if (error.code() != ExitCode::kData) throw;
    books_.note_bad_samples(loader.bad_samples());
    if (state_.step > 0 && saved_step_ != state_.step) save();
    throw;
  }
  books_.note_bad_samples(loader.bad_samples());
  if (const std::string text = model_->store()->transfers_text(); !text.empty()) log_info(text);
}

void Run::train_steps(BatchLoader& loader) {
  const TrainedTowers towers = model_->towers();
  RunLog run_log(config_, task_->runs_main() ? model_->flops_of_sample() : 0, cadence_.total,
                 mesh_.sum(peak_flops(options_.device, config_.precision), MeshAxis::kAll),
                 options_.device, options_.is_quiet);
  if (mesh_.any(is_stop_asked()))
    throw Stopped("stopped by ", signal_name(stop_signal()), " at step ", state_.step,
                  " before it made another; run the same command to go on");
  if (state_.is_eval_pending) validate_and_record();
  while (state_.step < cadence_.total && !is_stopping_) {
    const auto start = Clock::now();
    mesh_.set_step(state_.step + 1);
    const Batch batch = next_batch(loader);
    const double waited = seconds_since(start);
    const double rate = cadence_.schedule.at(state_.step);
    const StepResult result = run_step(towers, *task_,
                                       {batch,
                                        config_.accumulate,
                                        is_stop_asked(),
                                        {.step = state_.step,
                                         .learning_rate_scale = rate,
                                         .seed = static_cast<uint64_t>(config_.seed)}});
    check_finite(result, {batch, state_.step + 1, ops_, options_.out}, towers);
    ++state_.step;
    state_.examples_seen += config_.data.batch_size;
    const double took = seconds_since(start);
    state_.train_seconds += took;
    is_stopping_ = result.should_stop;
    run_log.add_step(config_.data.batch_size, took, waited);
    if (is_due(state_.step, cadence_.log, cadence_.total)) {
      const at::Tensor input = model_input(config_.model, batch);
      const auto signals = input.defined() ? attention_monitor(towers.main, towers.store, input,
                                                               config_.data.batch_size)
                                           : std::vector<AttentionSignals>();
      books_.append_metrics(
          [&] { return run_log.report(state_, result, config_.optim.lr * rate, signals); });
    } else {
      run_log.show_progress(state_.step);
    }
    keep_step(loader);
  }
}

Batch Run::next_batch(BatchLoader& loader) {
  Batch batch;
  mesh_.agree([&] {
    loader.next(batch);
    if (batch.images_BCHW().defined() && !config_.data.any_size)
      check_image_size(task_->image_model(config_), batch.images_BCHW());
  });
  batch = batch.to(torch_device(options_.device));
  if (config_.data.mixup > 0)
    batch = mixed(batch, config_.data.mixup, static_cast<uint64_t>(config_.seed), state_.step,
                  mesh_.share(MeshAxis::kData, config_.data.batch_size).count);
  return batch;
}

TrainSummary Run::go() {
  const at::NoGradGuard no_grad;
  if (!start()) {
    log_info(concat("already finished at step ", state_.step,
                    "; nothing to do (raise the total to go on, or --no-resume)"));
    return {state_.step, cadence_.total, true, books_.latest()};
  }
  if (!options_.trace.empty()) start_trace();
  loop();
  if (!options_.trace.empty()) save_trace(options_.trace, mesh_);
  if (is_stopping_ && (state_.step < cadence_.total || state_.is_eval_pending)) {
    throw Stopped("stopped by ", signal_name(stop_signal()), " at step ", state_.step,
                  " with the checkpoint saved; run the same command to go on");
  }
  return {state_.step, cadence_.total, false, books_.latest()};
}

TrainSummary train(const TrainConfig& config, const TrainOptions& options, FileOps& ops) {
  return Run(config, options, ops).go();
}

}  // namespace vit22b
