#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/vit_predictor.h"
#include "kernels/cpu/tile.h"
#include "model/initialise.h"
#include "train/run.h"
#include "train/run_log.h"

namespace vit22b {
namespace {

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

}  // namespace

Run::Run(TrainConfig config, const TrainOptions& options, FileOps& ops)
    : config_(std::move(config)), options_(options), ops_(ops), folder_(ops, options.out) {}

ModelContext Run::context() const {
  const bool is_recomputing = config_.activation == "recompute";
  return {config_.model, *engine_, mesh_, precision_type(config_.precision),
          is_recomputing ? ActivationPolicy::kRecompute : ActivationPolicy::kKeep};
}

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
  log_info(concat("engine ", engine_->name(), ": ", at::get_num_threads(), " threads, ",
                  cpu::instruction_set(), " kernels"));
  return state_.step < cadence_.total || state_.is_eval_pending;
}

}  // namespace vit22b
