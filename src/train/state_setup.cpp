#include "train/state_setup.h"

#include "store/accumulate.h"
#include "store/resident.h"
#include "store/sharded.h"
#include "store/update_now.h"

namespace vit22b {

std::unique_ptr<MasterStore> make_store(const TrainConfig& config,
                                        const std::vector<ParameterRow>& table,
                                        WeightSource& source, StateMemory& memory,
                                        c10::Device device, const Mesh& mesh) {
  if (config.store == "sharded")
    return std::make_unique<ShardedStore>(table, source, device, mesh, config.mesh.prefetch);
  return std::make_unique<ResidentStore>(
      table, source, config.weights == "bf16" ? at::kBFloat16 : at::kFloat, memory, mesh);
}

ActivationPolicy activation_policy(const TrainConfig& config) {
  return config.activation == "recompute" ? ActivationPolicy::kRecompute : ActivationPolicy::kKeep;
}

Sinks make_sinks(const TrainConfig& config, const std::vector<ParameterRow>& table,
                 const UpdatingSink::Parts& parts) {
  const std::vector<ParameterRule> rules = make_rules(table, config.optim, config.freeze);
  Sinks sinks;
  if (config.update == "now")
    sinks.updating = std::make_unique<UpdateNow>(table, rules, config.optim, parts);
  else
    sinks.updating = std::make_unique<Accumulate>(table, rules, config.optim, parts);
  if (!parts.store.is_keeping())
    sinks.scattering =
        std::make_unique<ReduceScatter>(*sinks.updating, table, parts.store, parts.mesh);
  return sinks;
}

}  // namespace vit22b
