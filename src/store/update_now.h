#pragma once
#include <map>
#include <set>
#include <vector>

#include "store/updating_sink.h"

namespace vit22b {

/// Updates a unit's weights as soon as the backward pass has its gradients, inside that pass: no
/// more than one unit's gradients exist.
///
/// The norm of all gradients is known only when the pass has ended. Clipping goes by the previous
/// step's norm (of a run's first step: none), or by the exact one after a backward pass that only
/// measures it. A unit whose gradients are not finite is left as it is, and the step's report names
/// it; units above it have been updated then.
class UpdateNow : public UpdatingSink {
 public:
  UpdateNow(const std::vector<ParameterRow>& table, const std::vector<ParameterRule>& rules,
            const OptimConfig& config, const Parts& parts);

  std::vector<StepPhase> phases() const override;
  void begin_phase(StepPhase phase, const StepContext& context) override;
  UnitGrads& begin(const Unit& unit) override;
  void commit(const Unit& unit) override;
  StepReport finish(const StepContext& context) override;
  int64_t gradient_bytes(const Unit& unit) const override;

  NamedParts state() const override;
  void load_state(const std::function<at::Tensor(const std::string& name)>& whole) override;

 private:
  bool is_by_previous() const;
  void end_norm();
  void bring_clip_to(const at::Tensor& squares);
  void commit_unreached();

  std::map<Unit, std::vector<Trained*>> units_;
  std::set<Unit> committed_;  ///< in this phase
  UnitGrads current_;
  StepPhase phase_ = StepPhase::kUpdate;
  StepContext context_;
  at::Tensor squares_;        ///< [1] float64, the model's, of the units so far
  at::Tensor norm_;           ///< [1] float64, the model's, of the last phase that ended
  at::Tensor previous_norm_;  ///< [1] float64; 0 before the first step
  at::Tensor clip_;           ///< [1] float64
  std::string bad_tensor_;
};

}  // namespace vit22b
