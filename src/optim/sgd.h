#pragma once
#include "optim/optimizer.h"

namespace vit22b {

/// SGD with heavy-ball momentum, m = b1 m + g, w -= lr (m + wd w); the decay does not enter the
/// momentum.
class Sgd : public Optimizer {
 public:
  explicit Sgd(const OptimConfig& config) : config_(config) {}
  std::vector<SlotSpec> slots(const ParameterRow& row) const override;
  void update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
               const UpdateContext& context) const override;

 private:
  OptimConfig config_;
};

}  // namespace vit22b
