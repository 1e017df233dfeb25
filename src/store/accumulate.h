#pragma once
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "dist/mesh.h"
#include "model/gradient_sink.h"
#include "optim/optimizer.h"
#include "optim/rules.h"
#include "store/resident.h"

namespace vit22b {

/// Keeps a whole step's gradients in float32, then clips by the exact global norm and updates every
/// parameter.
///
/// Gradients and state are whole on each rank; the data axis adds gradients before the norm is
/// taken.
class Accumulate : public GradientSink {
 public:
  /// The store, mesh and optimizer outlive the sink.
  Accumulate(std::vector<ParameterRow> table, const std::vector<ParameterRule>& rules,
             const OptimConfig& config, const Optimizer& optimizer, ResidentStore& store,
             const Mesh& mesh);

  const std::set<std::string>& trained(const Unit& unit) const override;
  UnitGrads& begin(const Unit& unit) override;
  void commit(const Unit& unit) override;
  StepReport finish(const StepContext& context) override;

  /// Optimizer state by "slot/parameter", sharing storage.
  NamedTensors state() const;
  /// Overwrites the state.
  ///
  /// throws  CheckpointError naming a missing or misshapen slot
  void load_state(const NamedTensors& state);

 private:
  struct Trained {
    ParameterRow row;
    ParameterRule rule;
    at::Tensor gradient;
    NamedTensors slots;
  };

  std::vector<at::Tensor> gradients() const;
  std::string first_bad_tensor() const;

  OptimConfig config_;
  const Optimizer& optimizer_;
  ResidentStore& store_;
  const Mesh& mesh_;
  std::vector<Trained> trained_;
  std::map<Unit, UnitGrads> units_;
  std::map<Unit, std::set<std::string>> names_;
};

}  // namespace vit22b
