#include "store/accumulate.h"

#include "core/error.h"
#include "kernels/shape.h"
#include "optim/clip.h"

namespace vit22b {

Accumulate::Accumulate(std::vector<ParameterRow> table, const std::vector<ParameterRule>& rules,
                       const OptimConfig& config, const Optimizer& optimizer, ResidentStore& store,
                       const Mesh& mesh)
    : config_(config), optimizer_(optimizer), store_(store), mesh_(mesh) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (!rules[i].is_trained) continue;
    Trained trained{std::move(table[i]), rules[i], {}, {}};
    const at::Tensor& weight = store_.weight(trained.row);
    trained.gradient = at::zeros_like(weight, at::kFloat);
    for (const SlotSpec& slot : optimizer_.slots(trained.row))
      trained.slots[slot.name] = at::zeros(slot.shape, weight.options().dtype(slot.dtype));
    units_[trained.row.unit].tensors[trained.row.local_name] = trained.gradient;
    names_[trained.row.unit].insert(trained.row.local_name);
    trained_.push_back(std::move(trained));
  }
}

const std::set<std::string>& Accumulate::trained(const Unit& unit) const {
  static const std::set<std::string> kNone;
  const auto it = names_.find(unit);
  return it == names_.end() ? kNone : it->second;
}

UnitGrads& Accumulate::begin(const Unit& unit) {
  return units_.at(unit);
}

void Accumulate::commit(const Unit& unit) {
  units_.at(unit).is_overwrite = false;
}

StepReport Accumulate::finish(const StepContext& context) {
  const std::vector<at::Tensor> all = gradients();
  for (at::Tensor gradient : all) mesh_.sum_(gradient, MeshAxis::kData);
  for (auto& [unit, grads] : units_) grads.is_overwrite = true;
  const at::Tensor norm = squared_norm(all).sqrt() * context.gradient_scale;
  const at::Tensor clip = clip_scale(norm, config_.clip_norm);
  at::Tensor scale = clip * context.gradient_scale;
  if (context.loss.defined())
    scale = at::where(at::isfinite(context.loss.to(scale.device())), scale, context.loss);
  scale = scale.to(at::kFloat);
  for (Trained& t : trained_)
    optimizer_.update_(
        store_.weight(t.row), t.gradient, t.slots,
        {context.step, config_.lr * context.learning_rate_scale * t.rule.learning_rate_factor,
         t.rule.weight_decay, scale, context.seed, t.row.name});
  // .item() waits for the device: here, once a step, with all updates under way.
  StepReport report{norm.item<double>(), clip.item<double>(), ""};
  if (!std::isfinite(report.gradient_norm)) report.bad_tensor = first_bad_tensor();
  return report;
}

std::vector<at::Tensor> Accumulate::gradients() const {
  std::vector<at::Tensor> all;
  all.reserve(trained_.size());
  for (const Trained& t : trained_) all.push_back(t.gradient);
  return all;
}

std::string Accumulate::first_bad_tensor() const {
  for (const Trained& t : trained_)
    if (!at::isfinite(t.gradient).all().item<bool>()) return t.row.name;
  return "";
}

NamedTensors Accumulate::state() const {
  NamedTensors all;
  for (const Trained& t : trained_)
    for (const auto& [slot, tensor] : t.slots) all[slot + "/" + t.row.name] = tensor;
  return all;
}

void Accumulate::load_state(const NamedTensors& state) {
  for (Trained& t : trained_) {
    for (auto& [slot, tensor] : t.slots) {
      const std::string name = slot + "/" + t.row.name;
      const auto it = state.find(name);
      if (it == state.end())
        throw CheckpointError("optimizer.safetensors: '", name,
                              "' is missing; was the run trained with another optimizer? start a "
                              "new run with --init-from");
      if (it->second.sizes() != tensor.sizes() || it->second.scalar_type() != tensor.scalar_type())
        throw CheckpointError("optimizer.safetensors: '", name, "' has shape ",
                              shape_text(it->second.sizes()), ", want ",
                              shape_text(tensor.sizes()));
      tensor.copy_(it->second);
    }
  }
}

}  // namespace vit22b
