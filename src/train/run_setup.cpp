#include <cstdio>

#include "core/error.h"
#include "core/log.h"
#include "eval/vit_predictor.h"
#include "kernels/cpu/tile.h"
#include "train/averaged_weights.h"
#include "train/run.h"
#include "train/run_log.h"
#include "train/run_sources.h"
#include "train/state_setup.h"
#include "train/transform_setup.h"

namespace vit22b {
namespace {

Cadence make_cadence(const TrainConfig& c, int64_t examples_per_epoch) {
  Cadence cadence{};
  cadence.schedule = make_schedule(c, examples_per_epoch);
  cadence.total = cadence.schedule.total_steps;
  const DurationScale scale{c.data.batch_size, examples_per_epoch, cadence.total};
  cadence.log =
      std::max<int64_t>(1, to_steps(c.log, scale, std::max<int64_t>(1, cadence.total / 100)));
  cadence.eval = to_steps(c.eval, scale, std::max<int64_t>(1, cadence.total / 10));
  cadence.ckpt = to_steps(c.ckpt, scale, std::max<int64_t>(1, cadence.total / 10));
  cadence.keep = to_steps(c.keep_ckpt, scale, 0);
  return cadence;
}

}  // namespace

Run::Run(TrainConfig config, const TrainOptions& options, FileOps& ops)
    : config_(std::move(config)),
      options_(options),
      ops_(ops),
      mesh_(options.mesh != nullptr ? *options.mesh : single_process()) {
  make_places_absolute(config_, std::filesystem::current_path());
}

ModelContext Run::context(const ViTConfig& config, BlockInputs* inputs) const {
  return {config,
          *engine_,
          mesh_,
          precision_type(config_.precision),
          activation_policy(config_),
          /*packed=*/nullptr,
          inputs,
          residual_type(config_.precision)};
}

std::vector<ParameterRow> Run::table() const {
  std::vector<ParameterRow> table = parameter_table(config_.model);
  if (image_tower_)
    for (ParameterRow& row : image_tower_table(image_tower_->config))
      table.push_back(std::move(row));
  return table;
}

TrainedTowers Run::towers() const {
  TrainedTowers towers{context(config_.model, main_inputs_.get()), *store_, sinks_.first()};
  if (image_tower_) towers.image.emplace(context(image_tower_->config, image_inputs_.get()));
  return towers;
}

// Backward passes cost twice a forward one, from the first block that trains on.
double Run::flops_of_sample() const {
  double flops = train_flops(config_.model);
  if (image_tower_)
    flops += forward_flops(image_tower_->config) * (1 + 2 * image_tower_->trained_share);
  return flops;
}

namespace {

/// A saved run as a source: a parameter's own values where its average has been saved as the
/// weight.
std::unique_ptr<WeightSource> weights_of(const SavedRun& saved, const std::string& place) {
  return std::make_unique<FunctionSource>([&saved, place](const ParameterRow& row) {
    try {
      const at::Tensor whole = saved.optimizer(AveragedWeights::raw_name(row.name));
      return whole.defined() ? whole : saved.weight(row);
    } catch (const CheckpointError&) {
      throw CheckpointError(place, ": '", row.name,
                            "' does not fit this config's model; start a new run with --init-from");
    }
  });
}

}  // namespace

// A run that goes on needs nothing of what it started from.
void Run::make_weights(const std::vector<ParameterRow>& table, const SavedRun* saved) {
  std::unique_ptr<WeightSource> source;
  if (saved != nullptr)
    source = weights_of(*saved, from_.string());
  else
    source = task_->first_weights(config_);
  store_ = make_store(config_, table, *source, *memory_, torch_device(options_.device), mesh_);
}

std::unique_ptr<StateMemory> Run::make_memory() const {
  if (config_.state != "file")
    return make_state_memory(config_.state, torch_device(options_.device));
  if (!options_.device.is_cpu())
    throw UsageError("state=file runs on the CPU; use --device cpu, or state=memory");
  const std::filesystem::path run = std::filesystem::absolute(options_.out).lexically_normal();
  return std::make_unique<StateFile>(
      config_.state_path.empty() ? run / "state.bin" : std::filesystem::path(config_.state_path),
      concat("run ", run.string(), ", model ", config_.model.name));
}

void Run::load(const SavedRun& saved) {
  sinks_.updating->load_state([&](const std::string& name) { return saved.optimizer(name); });
  state_ = saved.state();
  saved_step_ = is_from_own_ ? state_.step : -1;
  for (const auto& [key, value] : run_layout(config_, mesh_))
    if (const auto it = state_.layout.find(key); it != state_.layout.end() && it->second != value)
      log_warn(concat("resuming with ", key, " ", value, ", the checkpoint had ", it->second,
                      ": equal within rounding, not bitwise"));
  log_info(concat("resumed from ", from_.string(), " at step ", state_.step));
}

// Opens the run's folder on one rank, which alone writes there; all learn where to go on from.
void Run::open_folder() {
  constexpr std::string_view kOwn = "own ", kOther = "other ";
  const std::string start = mesh_.once([&] {
    folder_ = std::make_unique<RunFolder>(ops_, options_.out);
    if (!options_.is_resuming && folder_->has_config()) folder_->set_aside();
    if (!options_.is_resuming) return std::string();
    std::filesystem::path from = start_of_run(options_.out, options_.resume);
    if (from.empty()) return std::string();
    from = resolve_checkpoint(from).folder;
    return concat(folder_->checkpoints().holds(from) ? kOwn : kOther, from.string());
  });
  is_from_own_ = start.starts_with(kOwn);
  if (!start.empty()) from_ = start.substr((is_from_own_ ? kOwn : kOther).size());
}

void Run::open_data() {
  mesh_.agree([&] { data_ = open_train_data(config_.data); });
  mesh_.do_once([&] { data_now_ = data_records(data_); });
  mesh_.agree([&] { task_->choose_data(config_, data_); });
}

// The checkpoint to go on from as it looks before the folder is held.
std::filesystem::path Run::start_in_view() const {
  return mesh_.once([&] {
    return options_.is_resuming ? start_of_run(options_.out, options_.resume).string() : "";
  });
}

// Fills in what data and checkpoints decide, and checks that all of it goes together.
void Run::complete_config(const std::filesystem::path& start) {
  task_->complete({config_, data_, mesh_, ops_, options_.out, start});
  mesh_.agree([&] {
    check_mesh(config_, mesh_);
    pp_eval_ = std::make_unique<Transforms>(config_.data.pp_eval, /*seed=*/0, task_->tokenizer());
    const Transforms pp_train(config_.data.pp_train, 0, task_->tokenizer());
    for (const Transforms* transforms : {&pp_train, &std::as_const(*pp_eval_)})
      check_transform(task_->image_model(config_), *data_.train, *transforms,
                      config_.data.any_size);
  });
}

// Compares with the run that is gone on from, before any work.
void Run::check_resume() {
  mesh_.do_once([&] {
    sources_now_ = source_hashes(config_);
    const auto saved = from_.empty() ? std::nullopt : saved_state(from_);
    const TrainerState then = saved.value_or(TrainerState());
    if (options_.is_resuming && folder_->has_steps())
      folder_->check_same_config(config_, moved_sources(then.sources, sources_now_));
    warn_of_other_data(config_.data, then.data, data_now_);
    warn_of_other_sources(config_, then.sources, sources_now_);
  });
}

void Run::log_memory() const {
  const auto weights = static_cast<double>(bytes_of(owned_parts(*store_, table())));
  const auto state = static_cast<double>(bytes_of(sinks_.updating->state()));
  log_info(concat("memory of this rank: ", human_bytes(weights), " of weights, ",
                  human_bytes(state), " of optimizer state"));
}

void Run::log_setting(const std::vector<ParameterRow>& table) const {
  log_info(concat("model ", config_.model.name, ": ", count_parameters(table).total,
                  " parameters; ", data_.train->size(), " training images, ",
                  data_.val ? data_.val->size() : 0, " for validation; ", cadence_.total,
                  " steps"));
  log_info(concat("engine ", engine_->name(), ": ", at::get_num_threads(), " threads, kernels ",
                  cpu::kernels_in_use()));
  log_memory();
  if (mesh_.size(MeshAxis::kAll) > 1)
    log_info(concat("mesh: ", mesh_.size(MeshAxis::kData), " x ", mesh_.size(MeshAxis::kModel),
                    " ranks (data x model), weights ", config_.store));
}

// What the run goes on from, in step with its folder.
void Run::take_up() {
  const std::string best = mesh_.once([&] {
    BestSave found;
    if (from_.empty()) {
      folder_->cut_metrics(0);
    } else {
      found = folder_->go_on_from(state_, is_from_own_, !options_.resume.empty(),
                                  task_->metrics().front());
    }
    folder_->begin(config_, options_.command_line);
    char metric[32];
    std::snprintf(metric, sizeof metric, "%.17g", found.metric);
    return concat(found.step, " ", metric);
  });
  const std::string bad =
      mesh_.once([&] { return from_.empty() ? "" : join(folder_->bad_samples(), "\n"); });
  for (const std::string& line : split(bad, '\n'))
    if (!line.empty()) bad_lines_.insert(line);
  const size_t space = best.find(' ');
  state_.best_step = std::stoll(best.substr(0, space));
  state_.best_metric = std::stod(best.substr(space + 1));
  state_.data = data_now_;
  for (const auto& [option, hash] : sources_now_)
    if (!hash.empty() && state_.sources.count(option) == 0) state_.sources[option] = hash;
}

bool Run::start() {
  task_ = config_.task_options().make();
  open_data();
  // What is refused leaves no folder behind, but where that is needed before.
  if (!task_->needs_folder()) complete_config(start_in_view());
  open_folder();
  if (task_->needs_folder()) complete_config(from_);
  check_resume();
  cadence_ = make_cadence(config_, data_.train->size());
  state_.seed = static_cast<uint64_t>(config_.seed);
  task_->prepare(config_, options_.device);
  task_->look_once(config_, options_.device, mesh_, data_);
  image_tower_ = task_->image_tower();
  const std::vector<ParameterRow> table = this->table();
  engine_ = make_engine(config_.engine, mesh_, precision_type(config_.precision));
  optimizer_ = make_optimizer(config_.optim);
  std::optional<SavedRun> saved;
  if (!from_.empty()) saved.emplace(from_, mesh_);
  mesh_.agree([&] {
    memory_ = make_memory();
    main_inputs_ = make_block_inputs(config_, options_.out);
    image_inputs_ = make_block_inputs(config_, options_.out);
    make_weights(table, saved ? &*saved : nullptr);
    sinks_ = make_sinks(config_, table, {*optimizer_, *store_, mesh_, *memory_});
  });
  if (saved) load(*saved);
  if (state_.step >= cadence_.total && !state_.is_eval_pending) return false;
  take_up();
  log_setting(table);
  return true;
}

}  // namespace vit22b
