#include "train/trainer.h"

#include <nlohmann/json.hpp>

#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "eval/vit_predictor.h"
#include "model/initialise.h"
#include "store/accumulate.h"
#include "train/data_setup.h"
#include "train/guard.h"
#include "train/monitor.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/throughput.h"

namespace vit22b {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// All durations in steps.
struct Cadence {
  int64_t total, log, eval, ckpt, keep;
  Schedule schedule;
};

Cadence make_cadence(const TrainConfig& c, int64_t examples_per_epoch) {
  DurationScale scale{c.data.batch_size, examples_per_epoch, 0};
  Cadence cadence{};
  cadence.total = scale.total_steps = to_steps(c.total, scale, 0);
  cadence.log =
      std::max<int64_t>(1, to_steps(c.log, scale, std::max<int64_t>(1, cadence.total / 100)));
  cadence.eval = to_steps(c.eval, scale, std::max<int64_t>(1, cadence.total / 10));
  cadence.ckpt = to_steps(c.ckpt, scale, std::max<int64_t>(1, cadence.total / 10));
  cadence.keep = to_steps(c.keep_ckpt, scale, 0);
  cadence.schedule = {c.schedule, cadence.total, to_steps(c.warmup, scale, 0),
                      to_steps(c.cooldown, scale, 0)};
  return cadence;
}

bool is_due(int64_t step, int64_t every, int64_t total) {
  return every > 0 && (step % every == 0 || step == total);
}

/// One run: what the loop's steps share.
class Run {
 public:
  Run(TrainConfig config, const TrainOptions& options, FileOps& ops)
      : config_(std::move(config)), options_(options), ops_(ops), folder_(ops, options.out) {}

  TrainSummary go();

 private:
  bool start();
  NamedTensors fresh_weights();
  void load(const std::filesystem::path& checkpoint);
  void loop();
  void validate();
  void save();
  ModelContext context() const {
    return {
        config_.model, *engine_, mesh_, precision_type(config_.precision),
        config_.activation == "recompute" ? ActivationPolicy::kRecompute : ActivationPolicy::kKeep};
  }
  bool is_stop_asked() const { return stop_signal() != 0; }

  TrainConfig config_;
  const TrainOptions& options_;
  FileOps& ops_;
  RunFolder folder_;
  Mesh mesh_;
  TrainData data_;
  Cadence cadence_{};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Task> task_;
  std::shared_ptr<ResidentStore> store_;
  std::unique_ptr<Accumulate> sink_;
  std::unique_ptr<Transforms> pp_eval_;
  TrainerState state_;
  bool is_best_ = false;
  bool is_stopping_ = false;
};

NamedTensors Run::fresh_weights() {
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(config_.model))
    weights[row.name] = initial_tensor(row, static_cast<uint64_t>(config_.seed));
  if (config_.init_from.empty()) return weights;
  const auto source = resolve_checkpoint(config_.init_from).folder;
  log_info("starting from the weights of " + source.string());
  for (const std::string& note :
       init_weights(source, config_.model, config_.init_skip, weights).notes)
    log_info(note);
  return weights;
}

void Run::load(const std::filesystem::path& path) {
  const RunCheckpoint checkpoint = load_run_checkpoint(path);
  for (const ParameterRow& row : parameter_table(config_.model)) {
    const auto it = checkpoint.weights.find(row.name);
    if (it == checkpoint.weights.end() || it->second.sizes() != at::IntArrayRef(row.shape))
      throw CheckpointError(path.string(), ": '", row.name,
                            "' does not fit this config's model; start a new run with --init-from");
    store_->weight(row).copy_(it->second);
  }
  sink_->load_state(checkpoint.optimizer);
  state_ = checkpoint.state;
  folder_.cut_metrics(state_.metrics_bytes);
  for (const auto& [key, value] : run_layout())
    if (const auto it = state_.layout.find(key); it != state_.layout.end() && it->second != value)
      log_warn(concat("resuming with ", key, " ", value, ", the checkpoint had ", it->second,
                      ": equal within rounding, not bitwise"));
  log_info(concat("resumed from ", path.string(), " at step ", state_.step));
}

bool Run::start() {
  data_ = open_train_data(config_.data);
  complete_from_data(config_, *data_.train);
  cadence_ = make_cadence(config_, data_.train->size());
  state_.seed = static_cast<uint64_t>(config_.seed);
  std::filesystem::path from = options_.resume;
  if (!options_.is_resuming && folder_.has_config()) folder_.set_aside();
  if (options_.is_resuming && folder_.has_config()) {
    folder_.check_same_config(config_);
    if (from.empty()) from = folder_.checkpoints().latest();
  }
  folder_.begin(config_, options_.command_line);
  const std::vector<ParameterRow> table = parameter_table(config_.model);
  engine_ = make_engine(config_.engine);
  optimizer_ = make_optimizer(config_.optim);
  task_ = make_task(config_);
  pp_eval_ = std::make_unique<Transforms>(config_.data.pp_eval);
  store_ = std::make_shared<ResidentStore>(table, fresh_weights(), torch_device(options_.device));
  sink_ = std::make_unique<Accumulate>(table, make_rules(table, config_.optim, config_.freeze),
                                       config_.optim, *optimizer_, *store_, mesh_);
  if (!from.empty())
    load(resolve_checkpoint(from).folder);
  else
    folder_.cut_metrics(0);
  log_info(concat("model ", config_.model.name, ": ", count_parameters(table).total,
                  " parameters; ", data_.train->size(), " training images, ",
                  data_.val ? data_.val->size() : 0, " for validation; ", cadence_.total,
                  " steps"));
  return state_.step < cadence_.total || state_.is_eval_pending;
}

void Run::validate() {
  if (data_.val == nullptr) return;
  VitPredictor predictor(config_.model, store_,
                         {options_.device, config_.precision, config_.engine});
  const EvalOptions options{.loss = config_.loss,
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

void Run::loop() {
  const ModelContext ctx = context();
  const Transforms pp_train(config_.data.pp_train, static_cast<uint64_t>(config_.seed));
  const Share share = mesh_.share(MeshAxis::kData, config_.data.batch_size);
  BatchLoader loader(*data_.train, pp_train,
                     {.batch_size = share.count,
                      .stride = config_.data.batch_size,
                      .first_index = static_cast<uint64_t>(state_.examples_seen + share.first),
                      .num_workers = config_.data.workers,
                      .seed = static_cast<uint64_t>(config_.seed),
                      .max_bad_fraction = config_.data.max_bad_fraction});
  RunLog run_log(config_, cadence_.total, peak_flops(options_.device, config_.precision),
                 options_.device, options_.is_quiet);
  if (state_.is_eval_pending) validate();
  while (state_.step < cadence_.total && !is_stopping_) {
    const auto start = Clock::now();
    Batch batch;
    loader.next(batch);
    const double waited = seconds_since(start);
    batch.images_BCHW = batch.images_BCHW.to(torch_device(options_.device));
    batch.labels_B = batch.labels_B.to(torch_device(options_.device));
    const double rate = cadence_.schedule.at(state_.step);
    const StepResult result =
        run_step(ctx, *store_, *sink_, *task_, batch, config_.accumulate, is_stop_asked(),
                 {.step = state_.step, .learning_rate_scale = rate});
    check_finite(result, state_.step + 1, ctx, *store_, batch, ops_, folder_.path());
    ++state_.step;
    state_.examples_seen += config_.data.batch_size;
    const double took = seconds_since(start);
    state_.train_seconds += took;
    is_stopping_ = result.should_stop;
    run_log.add_step(config_.data.batch_size, took, waited);
    if (is_due(state_.step, cadence_.log, cadence_.total)) {
      const auto signals = attention_monitor(ctx, *store_, batch.images_BCHW);
      folder_.append_metrics(run_log.report(state_, result, config_.optim.lr * rate, signals));
    } else {
      run_log.show_progress(state_.step);
    }
    if (is_due(state_.step, cadence_.eval, cadence_.total)) validate();
    if (is_due(state_.step, cadence_.ckpt, cadence_.total) || is_best_ || is_stopping_) save();
  }
  if (const auto bad = loader.bad_samples(); !bad.empty()) {
    std::vector<std::string> lines;
    for (const BadSample& sample : bad) lines.push_back(sample.id + "\t" + sample.reason);
    folder_.write_bad_samples(lines);
    log_warn(concat(bad.size(), " unusable samples were replaced; see ",
                    (folder_.path() / "bad_samples.txt").string()));
  }
}

TrainSummary Run::go() {
  const at::NoGradGuard no_grad;
  if (!start()) {
    log_info(concat("already finished at step ", state_.step,
                    "; nothing to do (raise the total to go on, or --no-resume)"));
    return {state_.step, true, folder_.checkpoints().latest()};
  }
  loop();
  if (is_stopping_ && (state_.step < cadence_.total || state_.is_eval_pending)) {
    if (state_.is_eval_pending) save();
    throw Stopped("stopped by ", signal_name(stop_signal()), " at step ", state_.step,
                  " with the checkpoint saved; run the same command to go on");
  }
  return {state_.step, false, folder_.checkpoints().latest()};
}

}  // namespace

TrainSummary train(const TrainConfig& config, const TrainOptions& options, FileOps& ops) {
  return Run(config, options, ops).go();
}

}  // namespace vit22b
