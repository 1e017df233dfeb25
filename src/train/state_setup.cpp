#include "train/state_setup.h"

#include <algorithm>

#include "checkpoint/import/depth_head.h"
#include "checkpoint/init_weights.h"
#include "core/log.h"
#include "model/initialise.h"
#include "store/accumulate.h"
#include "store/block_inputs.h"
#include "store/generated.h"
#include "store/host_memory.h"
#include "store/resident.h"
#include "store/sharded.h"
#include "store/tuned.h"
#include "store/update_now.h"
#include "train/tasks/depth.h"

namespace vit22b {

std::unique_ptr<StateMemory> make_state_memory(const std::string& state, c10::Device device) {
  if (state == "host" && !device.is_cpu()) return std::make_unique<HostMemory>(device);
  return std::make_unique<DeviceMemory>(device);
}

std::vector<ParameterRule> training_rules(const TrainConfig& config,
                                          const std::vector<ParameterRow>& table) {
  std::vector<ParameterRule> rules = make_rules(table, config.optim, {config.freeze, config.tune});
  config.task_options().adjust_rules(table, rules);
  return rules;
}

std::set<std::string> own_parameters(const TrainConfig& config,
                                     const std::vector<ParameterRow>& table,
                                     const WeightSource& source) {
  const std::vector<ParameterRule> rules = training_rules(config, table);
  std::set<std::string> own;
  for (size_t i = 0; i < table.size(); ++i)
    if (!config.saves_beside_base() || rules[i].is_trained || !source.is_of_base(table[i]))
      own.insert(table[i].name);
  return own;
}

std::unique_ptr<MasterStore> make_store(const TrainConfig& config,
                                        const std::vector<ParameterRow>& table,
                                        const std::set<std::string>& own,
                                        std::unique_ptr<WeightSource> source,
                                        const StorePlace& place) {
  const auto& [memory, device, mesh] = place;
  if (config.store == "sharded")
    return std::make_unique<ShardedStore>(table, *source, device, mesh, config.mesh.prefetch);
  // What products round anyway is read rounded.
  const bool is_half =
      config.store == "streamed" ? config.precision != "fp32" : config.weights == "bf16";
  const at::ScalarType matrix_type = is_half ? at::kBFloat16 : at::kFloat;
  if (config.store == "streamed")
    return std::make_unique<TunedStore>(table, own, std::move(source), matrix_type, memory, device,
                                        mesh);
  return std::make_unique<ResidentStore>(table, *source, matrix_type, memory, mesh);
}

namespace {

/// The weights of a run that starts from a checkpoint's: its own where it has them as they are.
class StartSource : public WeightSource {
 public:
  StartSource(InitWeights start, NamedTensors head, uint64_t seed)
      : start_(std::move(start)), head_(std::move(head)), seed_(seed) {}

  void read(const ParameterRow& row, at::Tensor& target) override {
    if (is_of_base(row)) return start_.read(row, target);
    if (const auto own = head_.find(row.local_name);
        row.unit.kind == UnitKind::kTask && own != head_.end()) {
      target.copy_(own->second);
      return;
    }
    const at::Tensor fresh = initial_tensor(row, seed_);
    target.copy_(row.unit.kind == UnitKind::kTask ? fresh : start_.value(row, fresh));
  }
  void release(const ParameterRow& row) override {
    if (is_of_base(row)) start_.release(row);
  }
  bool is_of_base(const ParameterRow& row) const override {
    return row.unit.kind != UnitKind::kTask && start_.takes(row);
  }

 private:
  const InitWeights start_;
  const NamedTensors head_;  ///< of the task's rows, by local name; empty for a new one
  const uint64_t seed_;
};

}  // namespace

namespace {

/// The head that the checkpoint has for the task, where its tensors are the task's own.
NamedTensors first_head(const TrainConfig& config, const CheckpointPath& from) {
  const ModelInfo info = read_model_info(from);
  const std::vector<ParameterRow> rows = config.task_options().rows(config);
  const std::vector<ParameterRow> theirs = config.task == "depth" && info.depth
                                               ? depth_rows(*info.depth, info.config)
                                               : std::vector<ParameterRow>();
  if (theirs.empty()) return {};
  const auto sees = [](DenseHeadConfig head) {
    head.dropout = 0;
    std::vector<std::string> texts;
    for (const FieldText& field : list_fields([&](FieldVisitor& v) { head.fields(v); }))
      texts.push_back(field.value);
    return texts;
  };
  const auto& own = dynamic_cast<const DepthConfig&>(config.task_options());
  const bool is_same = sees(own.head) == sees(info.depth->head) &&
                       std::equal(rows.begin(), rows.end(), theirs.begin(), theirs.end(),
                                  [](const ParameterRow& a, const ParameterRow& b) {
                                    return a.local_name == b.local_name && a.shape == b.shape;
                                  });
  if (is_same)
    log_info("the head goes on from the checkpoint's");
  else
    log_warn("the head begins anew: the checkpoint's is another than depth.* says");
  return is_same ? load_depth_head(from, *info.depth, info.config) : NamedTensors();
}

}  // namespace

std::unique_ptr<WeightSource> first_weights(const TrainConfig& config) {
  const auto seed = static_cast<uint64_t>(config.seed);
  if (config.init_from.empty()) return std::make_unique<GeneratedSource>(seed);
  const CheckpointPath source = resolve_checkpoint(config.init_from);
  log_info("starting from the weights of " + source.path().string());
  InitWeights start(source, ModelInfo{config.model, {}, config.data.label_names},
                    InitChoice{config.init_skip, config.init_allow});
  for (const std::string& note : start.notes()) log_info(note);
  return std::make_unique<StartSource>(std::move(start), first_head(config, source), seed);
}

ActivationPolicy activation_policy(const TrainConfig& config) {
  return config.activation == "recompute" ? ActivationPolicy::kRecompute : ActivationPolicy::kKeep;
}

std::unique_ptr<BlockInputs> make_block_inputs(const TrainConfig& config,
                                               const std::filesystem::path& folder) {
  if (config.block_inputs == "host") return std::make_unique<HostInputs>();
  if (config.block_inputs == "file") return std::make_unique<FileInputs>(folder);
  return nullptr;
}

Sinks make_sinks(const TrainConfig& config, const std::vector<ParameterRow>& table,
                 const UpdatingSink::Parts& parts) {
  const std::vector<ParameterRule> rules = training_rules(config, table);
  Sinks sinks;
  if (config.update == "now")
    sinks.updating = std::make_unique<UpdateNow>(table, rules, config.optim, parts);
  else
    sinks.updating = std::make_unique<Accumulate>(table, rules, config.optim, parts);
  if (config.store == "sharded")
    sinks.scattering =
        std::make_unique<ReduceScatter>(*sinks.updating, table, parts.store, parts.mesh);
  return sinks;
}

BackwardShare backward_share(const ViTConfig& model, const std::vector<ParameterRow>& table,
                             const GradientSink& sink) {
  int64_t reached = 0, with_matrices = 0;
  for (int64_t i = 0; i < model.depth; ++i) {
    const std::set<std::string>& trained = sink.trained(block_unit(i));
    if (reached > 0 || !trained.empty()) ++reached;
    with_matrices += std::any_of(table.begin(), table.end(), [&](const ParameterRow& row) {
      return row.unit == block_unit(i) && row.group == ParameterGroup::kKernel &&
             trained.count(row.local_name) != 0;
    });
  }
  if (!sink.trained({UnitKind::kEmbedding}).empty()) reached = model.depth;
  const auto blocks = static_cast<double>(model.depth);
  return {static_cast<double>(reached) / blocks, static_cast<double>(with_matrices) / blocks};
}

}  // namespace vit22b
