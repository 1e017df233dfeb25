#pragma once
#include <filesystem>
#include <memory>

#include "model/context.h"
#include "store/reduce_scatter.h"
#include "store/updating_sink.h"
#include "store/weight_source.h"
#include "train/config.h"

namespace vit22b {

/// The memory of a device, or of the host for it ("host"), which are one on the CPU.
std::unique_ptr<StateMemory> make_state_memory(const std::string& state, c10::Device device);

/// The store that a config names, on a device; `memory` holds what the data axis does not cut.
std::unique_ptr<MasterStore> make_store(const TrainConfig& config,
                                        const std::vector<ParameterRow>& table,
                                        WeightSource& source, StateMemory& memory,
                                        c10::Device device, const Mesh& mesh);

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

}  // namespace vit22b
