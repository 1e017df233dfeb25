#include "core/error.h"
#include "core/log.h"
#include "eval/vit_predictor.h"
#include "kernels/cpu/tile.h"
#include "train/averaged_weights.h"
#include "train/run.h"
#include "train/run_log.h"
#include "train/state_setup.h"
#include "train/tasks/tasks.h"
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
      mesh_(options.mesh != nullptr ? *options.mesh : single_process()) {}

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
  if (trains_images())
    for (ParameterRow& row : image_tower_table(lit_->image.config)) table.push_back(std::move(row));
  return table;
}

TrainedTowers Run::towers() const {
  TrainedTowers towers{context(config_.model, main_inputs_.get()), *store_, sinks_.first()};
  if (trains_images()) towers.image.emplace(context(lit_->image.config, image_inputs_.get()));
  return towers;
}

// Backward passes cost twice a forward one, from the first block that trains on.
double Run::flops_of_sample() const {
  double flops = train_flops(config_.model);
  if (trains_images()) {
    const auto depth = static_cast<double>(lit_->image.config.depth);
    const auto first = static_cast<double>(
        std::max<int64_t>(0, config_.lit.first_trained_block(lit_->image.config.depth)));
    flops += forward_flops(lit_->image.config) * (1 + 2 * (depth - first) / depth);
  }
  return flops;
}

void Run::make_weights(const std::vector<ParameterRow>& table) {
  const auto source = lit_ ? first_weights(*lit_, static_cast<uint64_t>(config_.seed))
                           : first_weights(config_, table);
  store_ = make_store(config_, table, *source, *memory_, torch_device(options_.device), mesh_);
}

std::unique_ptr<StateMemory> Run::make_memory() const {
  if (config_.state != "file")
    return make_state_memory(config_.state, torch_device(options_.device));
  if (options_.device.is_cuda)
    throw UsageError("state=file runs on the CPU; use --device cpu, or state=memory");
  const std::filesystem::path run = std::filesystem::absolute(options_.out).lexically_normal();
  return std::make_unique<StateFile>(
      config_.state_path.empty() ? run / "state.bin" : std::filesystem::path(config_.state_path),
      concat("run ", run.string(), ", model ", config_.model.name));
}

void Run::load(const std::filesystem::path& path) {
  const SavedRun saved(path, mesh_);
  for (const ParameterRow& row : table()) {
    at::Tensor whole;
    try {
      whole = saved.optimizer(AveragedWeights::raw_name(row.name));
      if (!whole.defined()) whole = saved.weight(row);
    } catch (const CheckpointError&) {
      throw CheckpointError(path.string(), ": '", row.name,
                            "' does not fit this config's model; start a new run with --init-from");
    }
    assign_whole(*store_, row, whole, mesh_);
    memory_->release(store_->weight(row));
  }
  sinks_.updating->load_state([&](const std::string& name) { return saved.optimizer(name); });
  state_ = saved.state();
  for (const auto& [key, value] : run_layout(mesh_))
    if (const auto it = state_.layout.find(key); it != state_.layout.end() && it->second != value)
      log_warn(concat("resuming with ", key, " ", value, ", the checkpoint had ", it->second,
                      ": equal within rounding, not bitwise"));
  log_info(concat("resumed from ", path.string(), " at step ", state_.step));
}

// Opens the run's folder on one rank, which alone writes there; all learn where to go on from.
std::filesystem::path Run::open_folder() {
  return mesh_.once([&] {
    folder_ = std::make_unique<RunFolder>(ops_, options_.out);
    std::filesystem::path from = options_.resume;
    if (!options_.is_resuming && folder_->has_config()) folder_->set_aside();
    if (options_.is_resuming && folder_->has_config()) {
      folder_->check_same_config(config_);
      if (from.empty()) from = folder_->checkpoints().latest();
    }
    folder_->begin(config_, options_.command_line);
    if (!from.empty()) from = resolve_checkpoint(from).folder;
    return from.string();
  });
}

void Run::log_memory() const {
  const auto weights = static_cast<double>(bytes_of(owned_parts(*store_, table())));
  const auto state = static_cast<double>(bytes_of(sinks_.updating->state()));
  log_info(concat("memory of this rank: ", human_bytes(weights), " of weights, ",
                  human_bytes(state), " of optimizer state"));
}

bool Run::start() {
  mesh_.agree([&] { data_ = open_train_data(config_.data); });
  if (config_.task == "lit") {
    mesh_.agree([&] { keep_captioned(config_, data_); });
    mesh_.do_once([&] { prepare_tokenizer(config_, *data_.train, options_.out); });
  }
  mesh_.agree([&] {
    if (config_.task == "lit") lit_ = open_lit(config_, options_.out);
    complete_from_data(config_, *data_.train);
    match_validation(config_, data_);
    check_mesh(config_, mesh_);
    pp_eval_ = std::make_unique<Transforms>(config_.data.pp_eval, /*seed=*/0, tokenizer());
    const ViTConfig& model = lit_ ? lit_->image.config : config_.model;
    const Transforms pp_train(config_.data.pp_train, 0, tokenizer());
    for (const Transforms* transforms : {&pp_train, &std::as_const(*pp_eval_)})
      check_transform(model, *data_.train, *transforms, config_.data.any_size);
  });
  cadence_ = make_cadence(config_, data_.train->size());
  state_.seed = static_cast<uint64_t>(config_.seed);
  const std::filesystem::path from = open_folder();
  if (lit_) embed_images_once(config_, *lit_, options_.device, mesh_, data_);
  const std::vector<ParameterRow> table = this->table();
  engine_ = make_engine(config_.engine, mesh_, precision_type(config_.precision));
  optimizer_ = make_optimizer(config_.optim);
  task_ = make_task(config_, options_.device);
  attach_teachers(config_, options_.device, mesh_, data_);
  mesh_.agree([&] {
    memory_ = make_memory();
    main_inputs_ = make_block_inputs(config_, options_.out);
    image_inputs_ = make_block_inputs(config_, options_.out);
    make_weights(table);
    sinks_ = make_sinks(config_, table, {*optimizer_, *store_, mesh_, *memory_});
  });
  if (!from.empty()) load(from);
  mesh_.do_once([&] { folder_->cut_metrics(from.empty() ? 0 : state_.metrics_bytes); });
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
  return state_.step < cadence_.total || state_.is_eval_pending;
}

}  // namespace vit22b
