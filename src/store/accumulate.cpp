#include "store/accumulate.h"

#include "core/error.h"
#include "kernels/shape.h"
#include "optim/clip.h"

namespace vit22b {
namespace {

// Smaller gradients travel together.
constexpr int64_t kLargeTensor = 1 << 16;

}  // namespace

Accumulate::Accumulate(std::vector<ParameterRow> table, const std::vector<ParameterRule>& rules,
                       const OptimConfig& config, const Optimizer& optimizer, MasterStore& store,
                       const Mesh& mesh)
    : config_(config), optimizer_(optimizer), store_(store), mesh_(mesh) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (!rules[i].is_trained) continue;
    Trained trained{std::move(table[i]), rules[i], {}, {}, {}, {}};
    const at::Tensor& weight = store_.weight(trained.row);
    trained.cut = store_.cut(trained.row);
    trained.gradient = at::zeros_like(weight, at::kFloat);
    for (const SlotSpec& slot : optimizer_.slots(trained.row)) {
      const TensorCut cut = trained.cut.reduced_to(slot.shape);
      trained.slots[slot.name] =
          at::zeros(part_shape(cut, place_of(mesh_)), weight.options().dtype(slot.dtype));
      trained.slot_cuts[slot.name] = cut;
    }
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

void Accumulate::sum_over_ranks() {
  std::vector<at::Tensor> small, of_heads;
  for (const Trained& t : trained_) {
    if (t.row.gradient_sum_over_model) of_heads.push_back(t.gradient);
    if (t.cut.data_dim >= 0) continue;
    if (t.gradient.numel() < kLargeTensor)
      small.push_back(t.gradient);
    else
      mesh_.sum_(t.gradient, MeshAxis::kData, "gradient of " + t.row.name);
  }
  mesh_.sum_together_(small, MeshAxis::kData, "gradients of small tensors");
  mesh_.sum_together_(of_heads, MeshAxis::kModel, "gradients of head norms");
}

// Each value once, however many ranks hold it.
at::Tensor Accumulate::squared_norm_of_all() const {
  std::map<int64_t, std::vector<at::Tensor>> by_copies;
  for (const Trained& t : trained_)
    by_copies[(t.cut.data_dim < 0 ? mesh_.size(MeshAxis::kData) : 1) *
              (t.cut.model_dim < 0 ? mesh_.size(MeshAxis::kModel) : 1)]
        .push_back(t.gradient);
  at::Tensor sum = at::zeros({1}, at::kDouble);
  for (const auto& [copies, gradients] : by_copies) {
    const at::Tensor part = squared_norm(gradients) / static_cast<double>(copies);
    sum = sum.to(part.device()) + part;
  }
  mesh_.sum_(sum, MeshAxis::kAll, "gradient norm");
  return sum;
}

StepReport Accumulate::finish(const StepContext& context) {
  sum_over_ranks();
  for (auto& [unit, grads] : units_) grads.is_overwrite = true;
  const at::Tensor norm = squared_norm_of_all().sqrt() * context.gradient_scale;
  const at::Tensor clip = clip_scale(norm, config_.clip_norm);
  at::Tensor scale = clip * context.gradient_scale;
  if (context.loss.defined())
    scale = at::where(at::isfinite(context.loss.to(scale.device())), scale, context.loss);
  scale = scale.to(at::kFloat);
  store_.begin_update();
  for (Trained& t : trained_)
    optimizer_.update_(
        store_.weight(t.row), t.gradient, t.slots,
        {context.step, config_.lr * context.learning_rate_scale * t.rule.learning_rate_factor,
         t.rule.weight_decay, scale, context.seed, t.row.name, &t.cut, &mesh_});
  // .item() waits for the device: here, once a step, with all updates under way.
  StepReport report{norm.item<double>(), clip.item<double>(), ""};
  if (!std::isfinite(report.gradient_norm)) report.bad_tensor = first_bad_tensor();
  return report;
}

std::string Accumulate::first_bad_tensor() const {
  std::string own;
  for (const Trained& t : trained_)
    if (own.empty() && !at::isfinite(t.gradient).all().item<bool>()) own = t.row.name;
  for (const std::string& name : mesh_.gather_text(own, MeshAxis::kAll))
    if (!name.empty()) return name;
  return "";
}

NamedParts Accumulate::state() const {
  NamedParts all;
  for (const Trained& t : trained_)
    for (const auto& [slot, tensor] : t.slots)
      all[slot + "/" + t.row.name] = {t.slot_cuts.at(slot), tensor};
  return all;
}

void Accumulate::load_state(const std::function<at::Tensor(const std::string& name)>& whole) {
  for (Trained& t : trained_) {
    for (auto& [slot, tensor] : t.slots) {
      const std::string name = slot + "/" + t.row.name;
      const TensorCut& cut = t.slot_cuts.at(slot);
      const at::Tensor value = whole(name);
      if (!value.defined())
        throw CheckpointError("optimizer.safetensors: '", name,
                              "' is missing; was the run trained with another optimizer? start a "
                              "new run with --init-from");
      if (value.sizes() != at::IntArrayRef(cut.shape) ||
          value.scalar_type() != tensor.scalar_type())
        throw CheckpointError("optimizer.safetensors: '", name, "' has shape ",
                              shape_text(value.sizes()), ", want ", shape_text(cut.shape));
      tensor.copy_(part_of(value, cut, place_of(mesh_)));
    }
  }
}

}  // namespace vit22b
