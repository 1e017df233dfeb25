#include "checkpoint/adapters.h"
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
      mesh_(options.mesh != nullptr ? *options.mesh : single_process()),
      books_(options, ops, mesh_) {
  make_places_absolute(config_, std::filesystem::current_path());
}

namespace {

/// A saved run as a source: a parameter's own values where its average has been saved as the
/// weight.
class SavedSource : public WeightSource {
 public:
  SavedSource(std::shared_ptr<const SavedRun> saved, std::string place)
      : saved_(std::move(saved)), place_(std::move(place)) {}

  void read(const ParameterRow& row, at::Tensor& target) override {
    try {
      const at::Tensor whole = saved_->optimizer(AveragedWeights::raw_name(row.name));
      if (whole.defined())
        target.copy_(whole);
      else
        saved_->read(row, target);
    } catch (const CheckpointError& e) {
      throw CheckpointError(place_, ": '", row.name, "' does not fit this config's model (",
                            e.what(), "); start a new run with --init-from");
    }
  }
  void release(const ParameterRow& row) override {
    if (is_of_base(row)) saved_->release(row);
  }
  bool is_of_base(const ParameterRow& row) const override { return saved_->is_of_base(row); }

 private:
  const std::shared_ptr<const SavedRun> saved_;
  const std::string place_;
};

/// Where a base is now that is not where it was: at init_from, if that is there.
std::string moved_base(const std::filesystem::path& start, const TrainConfig& config) {
  const auto base = find_base(start);
  return base && !may_be_checkpoint(base->place) && may_be_checkpoint(config.init_from)
             ? config.init_from
             : "";
}

/// Says what whoever goes on with other programs, or with the base's own run, should know.
void tell_of_base(const BaseWeights& base, const std::string& obstacle) {
  if (base.place.find("/ckpt/step-") != std::string::npos)
    log_warn(concat("the base is a checkpoint of a run, which prunes it when it goes on: ",
                    base.place, "; `vit22b convert` writes one that stays"));
  if (!obstacle.empty())
    log_info("no adapter_config.json is written, since PEFT reads such a run otherwise: " +
             obstacle);
}

}  // namespace

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

// A run that goes on needs nothing of what it started from.
void Run::make_model(const std::shared_ptr<const SavedRun>& saved) {
  std::string obstacle;
  mesh_.agree([&] {
    std::unique_ptr<StateMemory> memory = make_memory();
    std::unique_ptr<WeightSource> source =
        saved == nullptr ? task_->first_weights(config_)
                         : std::make_unique<SavedSource>(saved, books_.start().string());
    if (config_.saves_beside_base())
      base_ = saved == nullptr ? base_weights(config_.init_from) : saved->info().base;
    model_ = std::make_unique<TrainedModel>(
        TrainedModel::Parts{config_, torch_device(options_.device), mesh_, std::move(memory),
                            task_->image_tower(), options_.out},
        std::move(source));
    if (base_) obstacle = peft_obstacle(config_.model, *base_, model_->own());
  });
  is_for_peft_ = config_.model.adapters.exist() && obstacle.empty();
  if (base_) mesh_.do_once([&] { tell_of_base(*base_, obstacle); });
  if (saved != nullptr) load(*saved);
}

void Run::load(const SavedRun& saved) {
  model_->optimizer_state().load_state(
      [&](const std::string& name) { return saved.optimizer(name); });
  state_ = saved.state();
  saved_step_ = books_.is_start_own() ? state_.step : -1;
  for (const auto& [key, value] : run_layout(config_, mesh_))
    if (const auto it = state_.layout.find(key); it != state_.layout.end() && it->second != value)
      log_warn(concat("resuming with ", key, " ", value, ", the checkpoint had ", it->second,
                      ": equal within rounding, not bitwise"));
  log_info(concat("resumed from ", books_.start().string(), " at step ", state_.step));
}

void Run::open_data() {
  mesh_.agree([&] { data_ = open_train_data(config_.data); });
  books_.note_data(data_);
  mesh_.agree([&] { task_->choose_data(config_, data_); });
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

void Run::log_setting() const {
  log_info(concat("model ", config_.model.name, ": ", count_parameters(model_->table()).total,
                  " parameters; ", data_.train->size(), " training images, ",
                  data_.val ? data_.val->size() : 0, " for validation; ", cadence_.total,
                  " steps"));
  log_info(concat("engine ", model_->engine().name(), ": ", at::get_num_threads(),
                  " threads, kernels ", cpu::kernels_in_use()));
  const auto weights = static_cast<double>(bytes_of(model_->weights())),
             state = static_cast<double>(bytes_of(model_->optimizer_state().state()));
  log_info(concat("memory of this rank: ", human_bytes(weights), " of weights, ",
                  human_bytes(state), " of optimizer state"));
  if (mesh_.size(MeshAxis::kAll) > 1)
    log_info(concat("mesh: ", mesh_.size(MeshAxis::kData), " x ", mesh_.size(MeshAxis::kModel),
                    " ranks (data x model), weights ", config_.store));
}

bool Run::start() {
  task_ = config_.task_options().make();
  open_data();
  // What is refused leaves no folder behind, but where that is needed before.
  if (!task_->needs_folder()) complete_config(books_.start_in_view());
  books_.open();
  if (task_->needs_folder()) complete_config(books_.start());
  books_.check_resume(config_);
  cadence_ = make_cadence(config_, data_.train->size());
  state_.seed = static_cast<uint64_t>(config_.seed);
  task_->prepare(config_, options_.device);
  task_->look_once(config_, options_.device, mesh_, data_);
  std::shared_ptr<const SavedRun> saved;
  if (!books_.start().empty())
    saved = std::make_shared<const SavedRun>(books_.start(), mesh_,
                                             moved_base(books_.start(), config_));
  make_model(saved);
  if (state_.step >= cadence_.total && !state_.is_eval_pending) return false;
  books_.take_up(config_, task_->metrics().front(), state_);
  log_setting();
  return true;
}

}  // namespace vit22b
