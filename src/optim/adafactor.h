#pragma once
#include "optim/optimizer.h"

namespace vit22b {

/// The Adafactor variant of Zhai et al. 2022: bfloat16 momentum, factored second moment whose decay
/// is capped, no scaling by the weight's norm, no clipping of its own.
///
/// b2 = min(cap, 1 - (t + 1)^-0.8); R, C = running means of g^2 + 1e-30 over columns and rows;
/// u = g (R / mean R)^-1/2 C^-1/2; m = bf16(b1 m + (1 - b1) u); w -= lr (m + wd w).
/// source  arXiv 2106.04560 section 3.4; big_vision optax.py scale_by_adafactor
class Adafactor : public Optimizer {
 public:
  explicit Adafactor(const OptimConfig& config) : config_(config) {}
  std::vector<SlotSpec> slots(const ParameterRow& row) const override;
  void update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
               const UpdateContext& context) const override;

 private:
  OptimConfig config_;
};

}  // namespace vit22b
