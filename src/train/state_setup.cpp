#include "train/state_setup.h"

#include "checkpoint/init_weights.h"
#include "core/log.h"
#include "model/initialise.h"
#include "store/accumulate.h"
#include "store/block_inputs.h"
#include "store/generated.h"
#include "store/host_memory.h"
#include "store/resident.h"
#include "store/sharded.h"
#include "store/update_now.h"

namespace vit22b {

std::unique_ptr<StateMemory> make_state_memory(const std::string& state, c10::Device device) {
  if (state == "host" && !device.is_cpu()) return std::make_unique<HostMemory>(device);
  return std::make_unique<DeviceMemory>(device);
}

std::unique_ptr<MasterStore> make_store(const TrainConfig& config,
                                        const std::vector<ParameterRow>& table,
                                        WeightSource& source, StateMemory& memory,
                                        c10::Device device, const Mesh& mesh) {
  if (config.store == "sharded")
    return std::make_unique<ShardedStore>(table, source, device, mesh, config.mesh.prefetch);
  return std::make_unique<ResidentStore>(
      table, source, config.weights == "bf16" ? at::kBFloat16 : at::kFloat, memory, mesh);
}

std::unique_ptr<WeightSource> first_weights(const TrainConfig& config) {
  const auto seed = static_cast<uint64_t>(config.seed);
  if (config.init_from.empty()) return std::make_unique<GeneratedSource>(seed);
  const CheckpointPath source = resolve_checkpoint(config.init_from);
  log_info("starting from the weights of " + source.path().string());
  const auto start =
      std::make_shared<InitWeights>(source, ModelInfo{config.model, {}, config.data.label_names},
                                    InitChoice{config.init_skip, config.init_allow});
  for (const std::string& note : start->notes()) log_info(note);
  return std::make_unique<FunctionSource>([start, seed](const ParameterRow& row) {
    const at::Tensor fresh = initial_tensor(row, seed);
    return row.unit.kind == UnitKind::kTask ? fresh : start->value(row, fresh);
  });
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
  std::vector<ParameterRule> rules = make_rules(table, config.optim, config.freeze);
  config.task_options().adjust_rules(table, rules);
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

}  // namespace vit22b
