#pragma once
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "dist/mesh.h"
#include "model/gradient_sink.h"
#include "optim/optimizer.h"
#include "optim/rules.h"
#include "store/master_store.h"
#include "store/state_memory.h"

namespace vit22b {

/// How far ParameterGroup::kStatistic goes to a batch's in a step, as PyTorch's modules do.
constexpr double kStatisticMomentum = 0.1;

/// What sinks share that change a store's weights: the optimizer's state, in the shapes of the
/// store's parts, and the update of one parameter.
class UpdatingSink : public GradientSink {
 public:
  /// What a sink works with; all outlive it.
  struct Parts {
    const Optimizer& optimizer;
    MasterStore& store;
    const Mesh& mesh;
    StateMemory& memory;  ///< of the optimizer's state, and perhaps of the store's weights
  };

  UpdatingSink(std::vector<ParameterRow> table, const std::vector<ParameterRule>& rules,
               const OptimConfig& config, const Parts& parts);

  const std::set<std::string>& trained(const Unit& unit) const override;
  /// A trained weight and the running sum that is its Polyak average times 1 - decay^steps.
  struct Averaged {
    const ParameterRow& row;
    const TensorCut& cut;
    at::Tensor weight, sum;
  };
  /// All of them; none without optim.polyak.
  std::vector<Averaged> averaged();
  /// This rank's part of the optimizer state by "slot/parameter", sharing storage.
  virtual NamedParts state() const;
  /// Bytes of gradients that exist while the backward pass is at a unit.
  virtual int64_t gradient_bytes(const Unit& unit) const = 0;
  /// Overwrites the state from whole tensors by name; undefined for one that is not there.
  ///
  /// throws  CheckpointError naming a missing or misshapen slot
  virtual void load_state(const std::function<at::Tensor(const std::string& name)>& whole);

 protected:
  struct Trained {
    ParameterRow row;
    ParameterRule rule;
    TensorCut cut;
    NamedTensors slots;
    std::map<std::string, TensorCut> slot_cuts;
  };
  /// A parameter and this rank's part of its gradient.
  struct Gradient {
    Trained* trained;
    at::Tensor value;
  };

  std::vector<Trained>& all_trained() { return trained_; }
  const OptimConfig& config() const { return config_; }
  const Mesh& mesh() const { return parts_.mesh; }
  MasterStore& store() const { return parts_.store; }
  StateMemory& memory() { return parts_.memory; }

  /// Adds gradients over the ranks that have terms of them.
  void sum_over_ranks(const std::vector<Gradient>& gradients) const;
  /// The squared norm of this rank's share, each value once however many ranks hold it; [1]
  /// float64. The sum over all ranks is the model's.
  at::Tensor squared_norm_of_share(const std::vector<Gradient>& gradients) const;
  /// Where the step's loss is not finite, the scale is not either, and nothing is applied.
  static at::Tensor scale_of_step(const at::Tensor& clip, const StepContext& context);
  /// Updates a weight and its slots, which are not used again in this step.
  void update(const Gradient& gradient, const StepContext& context, const at::Tensor& scale);
  /// The first parameter with a gradient that is not finite on any rank, or "".
  std::string first_bad_tensor(const std::vector<Gradient>& gradients) const;

 private:
  OptimConfig config_;
  Parts parts_;
  std::vector<Trained> trained_;
  std::map<Unit, std::set<std::string>> names_;
};

}  // namespace vit22b
