#pragma once
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/context.h"
#include "model/flops.h"
#include "optim/rules.h"
#include "store/reduce_scatter.h"
#include "store/updating_sink.h"
#include "store/weight_source.h"
#include "train/config.h"

namespace vit22b {

/// The memory of a device, or of the host for it ("host"), which are one on the CPU.
std::unique_ptr<StateMemory> make_state_memory(const std::string& state, c10::Device device);

/// How each parameter of a table trains.
std::vector<ParameterRule> training_rules(const TrainConfig& config,
                                          const std::vector<ParameterRow>& table);

/// The parameters of a table that a run has itself: all, or where it trains beside a checkpoint's
/// weights those that train and those that these do not have as they are.
std::set<std::string> own_parameters(const TrainConfig& config,
                                     const std::vector<ParameterRow>& table,
                                     const WeightSource& source);

/// Where a store's weights lie.
struct StorePlace {
  StateMemory& memory;  ///< holds what the data axis does not cut
  c10::Device device;
  const Mesh& mesh;
};
/// The store that a config names.
///
/// own  names of what store=streamed holds in memory
std::unique_ptr<MasterStore> make_store(const TrainConfig& config,
                                        const std::vector<ParameterRow>& table,
                                        const std::set<std::string>& own,
                                        std::unique_ptr<WeightSource> source,
                                        const StorePlace& place);

/// The weights that a run of one tower starts with: fresh ones by the config's seed, or those of
/// `init_from`.
///
/// throws  CheckpointError where that does not fit the model
std::unique_ptr<WeightSource> first_weights(const TrainConfig& config);

/// What blocks keep for their backward passes.
ActivationPolicy activation_policy(const TrainConfig& config);

/// Where a tower's block inputs wait, as a config names it; null where they stay as they are.
///
/// folder  for a nameless file
std::unique_ptr<BlockInputs> make_block_inputs(const TrainConfig& config,
                                               const std::filesystem::path& folder);

/// The sinks that a config names, over a store.
struct Sinks {
  std::unique_ptr<UpdatingSink> updating;
  std::unique_ptr<ReduceScatter> scattering;  ///< before it, where the store is sharded; else null
  /// What a backward pass gives its gradients.
  GradientSink& first() const {
    return scattering != nullptr ? static_cast<GradientSink&>(*scattering) : *updating;
  }
};
Sinks make_sinks(const TrainConfig& config, const std::vector<ParameterRow>& table,
                 const UpdatingSink::Parts& parts);

/// Which blocks' gradients a step computes.
///
/// table  of all parameters
/// sink   which knows those that train
BackwardShare backward_share(const ViTConfig& model, const std::vector<ParameterRow>& table,
                             const GradientSink& sink);

}  // namespace vit22b
