#include "store/updating_sink.h"

#include "core/error.h"
#include "kernels/shape.h"
#include "optim/clip.h"

namespace vit22b {
namespace {

// Smaller gradients travel together.
constexpr int64_t kLargeTensor = 1 << 16;

constexpr const char* kPolyak = "polyak";

bool is_statistic(const ParameterRow& row) {
  return row.group == ParameterGroup::kStatistic;
}

// A part of the way to what the batches say, where the step is applied at all.
void move_statistic(at::Tensor& value, const at::Tensor& distance, double gradient_scale,
                    const at::Tensor& step_scale) {
  const at::Tensor moved = value - distance * (kStatisticMomentum * gradient_scale);
  value.copy_(at::where(at::isfinite(step_scale).logical_and(at::isfinite(moved)), moved, value));
}

}  // namespace

UpdatingSink::UpdatingSink(std::vector<ParameterRow> table, const std::vector<ParameterRule>& rules,
                           const OptimConfig& config, const Parts& parts)
    : config_(config), parts_(parts) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (!rules[i].is_trained) continue;
    Trained trained{std::move(table[i]), rules[i], {}, {}, {}};
    trained.cut = store().cut(trained.row);
    std::vector<SlotSpec> slots;
    if (!is_statistic(trained.row)) slots = parts_.optimizer.slots(trained.row);
    if (config_.polyak > 0) slots.push_back({kPolyak, trained.row.shape, at::kFloat});
    for (const SlotSpec& slot : slots) {
      const TensorCut cut = trained.cut.reduced_to(slot.shape);
      trained.slots[slot.name] = memory().zeros(part_shape(cut, place_of(mesh())), slot.dtype);
      trained.slot_cuts[slot.name] = cut;
    }
    names_[trained.row.unit].insert(trained.row.local_name);
    trained_.push_back(std::move(trained));
  }
}

const std::set<std::string>& UpdatingSink::trained(const Unit& unit) const {
  static const std::set<std::string> kNone;
  const auto it = names_.find(unit);
  return it == names_.end() ? kNone : it->second;
}

void UpdatingSink::sum_over_ranks(const std::vector<Gradient>& gradients) const {
  std::vector<at::Tensor> small, of_heads;
  for (const auto& [trained, value] : gradients) {
    if (trained->row.gradient_sum_over_model) of_heads.push_back(value);
    if (trained->cut.data_dim >= 0) continue;
    if (value.numel() < kLargeTensor)
      small.push_back(value);
    else
      mesh().sum_(value, MeshAxis::kData, "gradient of " + trained->row.name);
  }
  mesh().sum_together_(small, MeshAxis::kData, "gradients of small tensors");
  mesh().sum_together_(of_heads, MeshAxis::kModel, "gradients of head norms");
}

at::Tensor UpdatingSink::squared_norm_of_share(const std::vector<Gradient>& gradients) const {
  std::map<int64_t, std::vector<at::Tensor>> by_copies;
  for (const auto& [trained, value] : gradients) {
    if (is_statistic(trained->row)) continue;
    by_copies[(trained->cut.data_dim < 0 ? mesh().size(MeshAxis::kData) : 1) *
              (trained->cut.model_dim < 0 ? mesh().size(MeshAxis::kModel) : 1)]
        .push_back(value);
  }
  at::Tensor sum;
  for (const auto& [copies, values] : by_copies) {
    const at::Tensor part = squared_norm(values) / static_cast<double>(copies);
    sum = sum.defined() ? sum + part : part;
  }
  return sum.defined() ? sum : at::zeros({1}, at::kDouble);
}

at::Tensor UpdatingSink::scale_of_step(const at::Tensor& clip, const StepContext& context) {
  at::Tensor scale = clip * context.gradient_scale;
  if (context.loss.defined())
    scale = at::where(at::isfinite(context.loss.to(scale.device())), scale, context.loss);
  return scale.to(at::kFloat);
}

void UpdatingSink::update(const Gradient& gradient, const StepContext& context,
                          const at::Tensor& scale) {
  Trained& t = *gradient.trained;
  std::vector<at::Tensor> all = {store().weight(t.row)};
  at::Tensor weight = memory().in_use(all.front());
  NamedTensors slots;
  for (const auto& [name, slot] : t.slots) {
    all.push_back(slot);
    slots[name] = memory().in_use(slot);
  }
  if (is_statistic(t.row))
    move_statistic(weight, gradient.value, context.gradient_scale, scale);
  else
    parts_.optimizer.update_(
        weight, gradient.value, slots,
        {context.step, config_.lr * context.learning_rate_scale * t.rule.learning_rate_factor,
         t.rule.weight_decay, scale, context.seed, config_.rounding == "nearest", t.row.name,
         &t.cut, &mesh()});
  if (config_.polyak > 0) slots.at(kPolyak).lerp_(weight.to(at::kFloat), 1 - config_.polyak);
  for (const at::Tensor& tensor : all) {
    memory().put_back(tensor);
    memory().release(tensor);
  }
}

std::vector<UpdatingSink::Averaged> UpdatingSink::averaged() {
  std::vector<Averaged> all;
  if (config_.polyak > 0)
    for (Trained& t : trained_)
      all.push_back({t.row, t.cut, store().weight(t.row), t.slots.at(kPolyak)});
  return all;
}

std::string UpdatingSink::first_bad_tensor(const std::vector<Gradient>& gradients) const {
  std::string own;
  for (const auto& [trained, value] : gradients)
    if (own.empty() && !at::isfinite(value).all().item<bool>()) own = trained->row.name;
  for (const std::string& name : mesh().gather_text(own, MeshAxis::kAll))
    if (!name.empty()) return name;
  return "";
}

NamedParts UpdatingSink::state() const {
  NamedParts all;
  for (const Trained& t : trained_)
    for (const auto& [slot, tensor] : t.slots)
      all[slot + "/" + t.row.name] = {t.slot_cuts.at(slot), tensor};
  return all;
}

void UpdatingSink::load_state(const std::function<at::Tensor(const std::string& name)>& whole) {
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
      tensor.copy_(part_of(value, cut, place_of(mesh())));
      memory().release(tensor);
    }
  }
}

}  // namespace vit22b
