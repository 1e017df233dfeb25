#include "store/accumulate.h"

#include "optim/clip.h"

namespace vit22b {

Accumulate::Accumulate(const std::vector<ParameterRow>& table,
                       const std::vector<ParameterRule>& rules, const OptimConfig& config,
                       const Parts& parts)
    : UpdatingSink(table, rules, config, parts) {
  for (const Trained& t : all_trained()) {
    const at::Tensor& weight = store().weight(t.row);
    units_[t.row.unit].tensors[t.row.local_name] =
        at::zeros_like(memory().in_use(weight), at::kFloat);
    memory().release(weight);
  }
}

UnitGrads& Accumulate::begin(const Unit& unit) {
  return units_.at(unit);
}

void Accumulate::commit(const Unit& unit) {
  units_.at(unit).is_overwrite = false;
}

int64_t Accumulate::gradient_bytes(const Unit&) const {
  int64_t bytes = 0;
  for (const auto& [unit, grads] : units_)
    for (const auto& [name, tensor] : grads.tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

// A unit that no loss has reached in this step still holds the gradient of an earlier one.
void Accumulate::clear_uncommitted() {
  for (auto& [unit, grads] : units_)
    if (grads.is_overwrite)
      for (auto& [name, tensor] : grads.tensors) tensor.zero_();
}

std::vector<UpdatingSink::Gradient> Accumulate::gradients() {
  std::vector<Gradient> all;
  for (Trained& t : all_trained())
    all.push_back({&t, units_.at(t.row.unit).tensors.at(t.row.local_name)});
  return all;
}

StepReport Accumulate::finish(const StepContext& context) {
  clear_uncommitted();
  const std::vector<Gradient> all = gradients();
  sum_over_ranks(all);
  for (auto& [unit, grads] : units_) grads.is_overwrite = true;
  const at::Tensor squares = squared_norm_of_share(all);
  mesh().sum_(squares, MeshAxis::kAll, "gradient norm");
  const at::Tensor norm = squares.sqrt() * context.gradient_scale;
  const at::Tensor clip = clip_scale(norm, config().clip_norm);
  const at::Tensor scale = scale_of_step(clip, context);
  store().begin_update();
  for (const Gradient& gradient : all) update(gradient, context, scale);
  memory().settle();
  // .item() waits for the device: here, once a step, with all updates under way.
  StepReport report{norm.item<double>(), clip.item<double>(), ""};
  if (!std::isfinite(report.gradient_norm)) report.bad_tensor = first_bad_tensor(all);
  return report;
}

}  // namespace vit22b
