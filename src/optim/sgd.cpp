#include "optim/sgd.h"

#include "optim/update.h"

namespace vit22b {

std::vector<SlotSpec> Sgd::slots(const ParameterRow& row) const {
  if (config_.momentum <= 0) return {};
  return {{"momentum", row.shape}};
}

void Sgd::update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                  const UpdateContext& context) const {
  const at::Tensor scale = scale_tensor(context, weight);
  at::Tensor update = gradient * scale;
  if (config_.momentum > 0) {
    at::Tensor& momentum = slots.at("momentum");
    update = update.add(momentum, config_.momentum);
    assign(momentum, update, scale);
  }
  const at::Tensor old = weight.to(at::kFloat);
  if (context.weight_decay != 0) update = update.add(old, context.weight_decay);
  assign_weight(weight, old.sub(update, context.learning_rate), scale, context);
}

}  // namespace vit22b
