#include "optim/adamw.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/update.h"
#include "kernels/device_ops.h"
#include "optim/update.h"

namespace vit22b {
namespace {

void fused_update(const AdamWNumbers& n, const UpdateContext& context, at::Tensor& weight,
                  const at::Tensor& gradient, at::Tensor& momentum, at::Tensor& second_moment) {
  const float scale = scale_on_host(context);
  if (!std::isfinite(scale)) return;
  const cpu::AdamWStep step{scale,
                            static_cast<float>(n.beta1),
                            static_cast<float>(n.beta2),
                            static_cast<float>(1 / std::sqrt(n.correction2)),
                            static_cast<float>(n.eps),
                            static_cast<float>(n.learning_rate / n.correction1),
                            static_cast<float>(1 - n.learning_rate * n.weight_decay)};
  const float* g = gradient.const_data_ptr<float>();
  const WeightOnCpu w(weight, context);
  float* m = momentum.mutable_data_ptr<float>();
  float* v = second_moment.mutable_data_ptr<float>();
  at::parallel_for(0, weight.numel(), kUpdateGrain, [&](int64_t first, int64_t last) {
    std::vector<uint32_t> random;
    for (int64_t at = first; at < last; at += kUpdateGrain) {
      const int64_t count = std::min(kUpdateGrain, last - at);
      cpu::adamw_update(count, step, g + at, w.values(at, count, random), m + at, v + at);
    }
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
  const AdamWNumbers numbers{.beta1 = config_.momentum,
                             .beta2 = config_.beta2,
                             .correction1 = 1 - std::pow(config_.momentum, updates),
                             .correction2 = 1 - std::pow(config_.beta2, updates),
                             .eps = config_.eps,
                             .learning_rate = context.learning_rate,
                             .weight_decay = context.weight_decay};
  if (are_plain({weight, gradient, momentum, second_moment}))
    return fused_update(numbers, context, weight, gradient, momentum, second_moment);
  device_ops(weight.device())
      .adamw_update(numbers, scale_tensor(context, weight), rounding_bits(context),
                    {gradient, weight, momentum, second_moment});
}

}  // namespace vit22b
