#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "dist/mesh.h"
#include "model/gradient_sink.h"
#include "optim/optimizer.h"
#include "optim/rules.h"
#include "store/master_store.h"

namespace vit22b {

/// Keeps a whole step's gradients in float32, then clips by the exact global norm and updates every
/// parameter.
///
/// Gradients and state have the shapes of the store's parts. Those that the data axis does not cut
/// are added over it before the norm is taken; the norm is the whole model's.
class Accumulate : public GradientSink {
 public:
  /// The store, mesh and optimizer outlive the sink.
  Accumulate(std::vector<ParameterRow> table, const std::vector<ParameterRule>& rules,
             const OptimConfig& config, const Optimizer& optimizer, MasterStore& store,
             const Mesh& mesh);

  const std::set<std::string>& trained(const Unit& unit) const override;
  UnitGrads& begin(const Unit& unit) override;
  void commit(const Unit& unit) override;
  StepReport finish(const StepContext& context) override;

  /// This rank's part of the optimizer state by "slot/parameter", sharing storage.
  NamedParts state() const;
  /// Overwrites the state from whole tensors by name; undefined for one that is not there.
  ///
  /// throws  CheckpointError naming a missing or misshapen slot
  void load_state(const std::function<at::Tensor(const std::string& name)>& whole);

 private:
  struct Trained {
    ParameterRow row;
    ParameterRule rule;
    TensorCut cut;
    at::Tensor gradient;
    NamedTensors slots;
    std::map<std::string, TensorCut> slot_cuts;
  };

  void sum_over_ranks();
  at::Tensor squared_norm_of_all() const;
  std::string first_bad_tensor() const;

  OptimConfig config_;
  const Optimizer& optimizer_;
  MasterStore& store_;
  const Mesh& mesh_;
  std::vector<Trained> trained_;
  std::map<Unit, UnitGrads> units_;
  std::map<Unit, std::set<std::string>> names_;
};

}  // namespace vit22b
