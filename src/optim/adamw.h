#pragma once
#include "optim/optimizer.h"

namespace vit22b {

/// AdamW (Loshchilov & Hutter 2019): bias-corrected moments in float32, decoupled decay multiplied
/// by the rate.
class AdamW : public Optimizer {
 public:
  explicit AdamW(const OptimConfig& config) : config_(config) {}
  std::vector<SlotSpec> slots(const ParameterRow& row) const override;
  void update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
               const UpdateContext& context) const override;

 private:
  OptimConfig config_;
};

}  // namespace vit22b
