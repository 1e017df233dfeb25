#include "optim/sgd.h"

namespace vit22b {

std::vector<SlotSpec> Sgd::slots(const ParameterRow& row) const {
  if (config_.momentum <= 0) return {};
  return {{"momentum", row.shape}};
}

void Sgd::update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                  const UpdateContext& context) const {
  at::Tensor update = gradient * context.gradient_scale;
  if (config_.momentum > 0) update = slots.at("momentum").mul_(config_.momentum).add_(update);
  if (context.weight_decay != 0) update = update.add(weight, context.weight_decay);
  weight.sub_(update, context.learning_rate);
}

}  // namespace vit22b
