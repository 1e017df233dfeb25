#pragma once
#include <set>
#include <string>
#include <vector>

#include "model/weight_store.h"

namespace vit22b {

/// Where a unit's gradients go: only tensors that train are present, so what is absent is not
/// computed.
struct UnitGrads {
  NamedTensors tensors;      ///< float32, in the parameter's shape
  bool is_overwrite = true;  ///< set the tensors instead of adding to them
};

/// What `finish` did with a step's gradients.
struct StepReport {
  double gradient_norm = 0;  ///< global L2 norm before clipping
  double clip_scale = 1;
  std::string bad_tensor;  ///< first parameter whose gradient is not finite, or ""
};

/// What the end of a step needs to know.
struct StepContext {
  int64_t step = 0;
  double learning_rate_scale = 1;  ///< the schedule's value at this step
  double gradient_scale = 1;       ///< multiplies the sums, such as 1 / accumulate
  at::Tensor
      loss;  ///< [1], the step's: where it is not finite, nothing is applied; may be undefined
  uint64_t seed = 0;  ///< of stochastic rounding
};

/// What a backward pass is for: the norm of the gradients alone, or the update as well.
enum class StepPhase { kMeasure, kUpdate };

/// What becomes of gradients: kept and applied at the end of a step, reduced over ranks, or applied
/// at once.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  /// The forward and backward passes that a step's last piece takes, in order.
  virtual std::vector<StepPhase> phases() const { return {StepPhase::kUpdate}; }
  /// Begins a phase, before its backward pass and with the step's loss known.
  virtual void begin_phase(StepPhase, const StepContext&) {}
  /// Local names of the unit's tensors that train.
  virtual const std::set<std::string>& trained(const Unit& unit) const = 0;
  virtual UnitGrads& begin(const Unit& unit) = 0;
  virtual void commit(const Unit& unit) = 0;
  /// Ends a step: clips, updates the weights, and reports. Where a gradient is not finite, nothing
  /// more is applied. Waits for the device once, when all of the step has been enqueued.
  virtual StepReport finish(const StepContext& context) = 0;
};

/// Names that train in a unit; none without a sink.
const std::set<std::string>& trained_names(const GradientSink* sink, const Unit& unit);

}  // namespace vit22b
