#include "optim/adamw.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/update.h"
#include "optim/fused.h"

namespace vit22b {
namespace {

void fused_update(const cpu::AdamWStep& step, at::Tensor& weight, const at::Tensor& gradient,
                  at::Tensor& momentum, at::Tensor& second_moment) {
  const float* g = gradient.const_data_ptr<float>();
  float* w = weight.mutable_data_ptr<float>();
  float* m = momentum.mutable_data_ptr<float>();
  float* v = second_moment.mutable_data_ptr<float>();
  at::parallel_for(0, weight.numel(), kUpdateGrain, [&](int64_t first, int64_t last) {
    cpu::adamw_update(last - first, step, g + first, w + first, m + first, v + first);
  });
}

}  // namespace

std::vector<SlotSpec> AdamW::slots(const ParameterRow& row) const {
  return {{"momentum", row.shape}, {"second_moment", row.shape}};
}

void AdamW::update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                    const UpdateContext& context) const {
  at::Tensor& momentum = slots.at("momentum");
  at::Tensor& second_moment = slots.at("second_moment");
  const auto updates = static_cast<double>(context.step + 1);
  const double correction1 = 1 - std::pow(config_.momentum, updates);
  const double correction2 = 1 - std::pow(config_.beta2, updates);
  const double step_size = context.learning_rate / correction1;
  const double decay = 1 - context.learning_rate * context.weight_decay;
  if (are_plain({weight, gradient, momentum, second_moment}))
    return fused_update(
        {static_cast<float>(context.gradient_scale), static_cast<float>(config_.momentum),
         static_cast<float>(config_.beta2), static_cast<float>(1 / std::sqrt(correction2)),
         static_cast<float>(config_.eps), static_cast<float>(step_size), static_cast<float>(decay)},
        weight, gradient, momentum, second_moment);
  const at::Tensor g = gradient * context.gradient_scale;
  momentum.lerp_(g, 1 - config_.momentum);
  second_moment.mul_(config_.beta2).addcmul_(g, g, 1 - config_.beta2);
  const at::Tensor root = (second_moment.sqrt() / std::sqrt(correction2)).add_(config_.eps);
  weight.mul_(decay).addcdiv_(momentum, root, -step_size);
}

}  // namespace vit22b
