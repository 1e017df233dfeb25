#pragma once
#include <map>
#include <vector>

#include "store/updating_sink.h"

namespace vit22b {

/// Keeps a whole step's gradients in float32, then clips by the exact global norm and updates every
/// parameter.
///
/// Gradients and state have the shapes of the store's parts. Those that the data axis does not cut
/// are added over it before the norm is taken; the norm is the whole model's. A unit that is not
/// committed in a step has a gradient of zero.
class Accumulate : public UpdatingSink {
 public:
  Accumulate(const std::vector<ParameterRow>& table, const std::vector<ParameterRule>& rules,
             const OptimConfig& config, const Parts& parts);

  UnitGrads& begin(const Unit& unit) override;
  void commit(const Unit& unit) override;
  StepReport finish(const StepContext& context) override;
  int64_t gradient_bytes(const Unit& unit) const override;

 private:
  void clear_uncommitted();
  std::vector<Gradient> gradients();

  std::map<Unit, UnitGrads> units_;
};

}  // namespace vit22b
