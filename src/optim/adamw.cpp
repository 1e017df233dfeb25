#include "optim/adamw.h"

namespace vit22b {

std::vector<SlotSpec> AdamW::slots(const ParameterRow& row) const {
  return {{"momentum", row.shape}, {"second_moment", row.shape}};
}

void AdamW::update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                    const UpdateContext& context) const {
  at::Tensor& momentum = slots.at("momentum");
  at::Tensor& second_moment = slots.at("second_moment");
  momentum.lerp_(gradient, 1 - config_.momentum);
  second_moment.mul_(config_.beta2).addcmul_(gradient, gradient, 1 - config_.beta2);
  const auto updates = static_cast<double>(context.step + 1);
  const double correction1 = 1 - std::pow(config_.momentum, updates);
  const double correction2 = 1 - std::pow(config_.beta2, updates);
  const at::Tensor denominator = (second_moment.sqrt() / std::sqrt(correction2)).add_(config_.eps);
  if (context.weight_decay != 0) weight.mul_(1 - context.learning_rate * context.weight_decay);
  weight.addcdiv_(momentum, denominator, -context.learning_rate / correction1);
}

}  // namespace vit22b
