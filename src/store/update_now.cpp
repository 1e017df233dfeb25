#include "store/update_now.h"

#include "core/error.h"
#include "kernels/large_tensor.h"
#include "optim/clip.h"

namespace vit22b {
namespace {

constexpr const char* kPreviousNorm = "clip/previous_gradient_norm";

}  // namespace

UpdateNow::UpdateNow(const std::vector<ParameterRow>& table,
                     const std::vector<ParameterRule>& rules, const OptimConfig& config,
                     const Parts& parts)
    : UpdatingSink(table, rules, config, parts), previous_norm_(at::zeros({1}, at::kDouble)) {
  for (Trained& t : all_trained()) units_[t.row.unit].push_back(&t);
}

bool UpdateNow::is_by_previous() const {
  return config().clip == "previous";
}

std::vector<StepPhase> UpdateNow::phases() const {
  if (config().clip_norm > 0 && !is_by_previous()) return {StepPhase::kMeasure, StepPhase::kUpdate};
  return {StepPhase::kUpdate};
}

void UpdateNow::begin_phase(StepPhase phase, const StepContext& context) {
  if (phase_ == StepPhase::kMeasure) end_norm();
  const at::Tensor by = is_by_previous() ? previous_norm_ : norm_;
  clip_ = by.defined() && phase == StepPhase::kUpdate ? clip_scale(by, config().clip_norm)
                                                      : at::ones({1}, at::kDouble);
  phase_ = phase;
  context_ = context;
  squares_ = at::Tensor();
  committed_.clear();
  bad_tensor_.clear();
}

// The norm of the phase that ends.
void UpdateNow::end_norm() {
  const at::Tensor squares = squares_.defined() ? squares_ : at::zeros({1}, at::kDouble);
  norm_ = squares.sqrt() * context_.gradient_scale;
}

// A factor that the host has goes to the device with the launch that uses it: a copy would wait.
void UpdateNow::bring_clip_to(const at::Tensor& squares) {
  if (clip_.device() != squares.device())
    clip_ = at::full({1}, clip_.item<double>(), squares.options());
}

UnitGrads& UpdateNow::begin(const Unit& unit) {
  current_ = {};
  for (const Trained* t : units_.at(unit)) {
    const at::Tensor weight = memory().in_use(store().weight(t->row));
    current_.tensors[t->row.local_name] =
        empty_large(weight.sizes(), weight.options().dtype(at::kFloat));
    if (phase_ == StepPhase::kUpdate)
      for (const auto& [slot, tensor] : t->slots) memory().will_need(tensor);
  }
  return current_;
}

void UpdateNow::commit(const Unit& unit) {
  std::vector<Gradient> gradients;
  for (Trained* t : units_.at(unit))
    gradients.push_back({t, current_.tensors.at(t->row.local_name)});
  sum_over_ranks(gradients);
  const at::Tensor squares = squared_norm_of_share(gradients);
  // The model's, before it decides: a rank that alone left a unit as it is would not come to the
  // collectives of its update.
  mesh().sum_(squares, MeshAxis::kAll, "gradient norm");
  squares_ = squares_.defined() ? squares_ + squares : squares;
  if (phase_ == StepPhase::kUpdate) {
    bring_clip_to(squares);
    const at::Tensor scale =
        scale_of_step(at::where(at::isfinite(squares), clip_, squares), context_);
    for (const Gradient& gradient : gradients) update(gradient, context_, scale);
    // Gradients of this unit are gone at the end of the step, so their names are taken now.
    if (squares.is_cpu() && !std::isfinite(squares.item<double>()) && bad_tensor_.empty())
      for (const auto& [trained, value] : gradients)
        if (bad_tensor_.empty() && !at::isfinite(value).all().item<bool>())
          bad_tensor_ = trained->row.name;
  }
  current_ = {};
  committed_.insert(unit);
}

// A unit that no loss has reached in this step has a gradient of zero, as with a deferred update.
void UpdateNow::commit_unreached() {
  for (const auto& [unit, trained] : units_) {
    if (committed_.count(unit) != 0) continue;
    for (auto& [name, gradient] : begin(unit).tensors) gradient.zero_();
    commit(unit);
  }
}

int64_t UpdateNow::gradient_bytes(const Unit& unit) const {
  int64_t elements = 0;
  if (const auto it = units_.find(unit); it != units_.end())
    for (const Trained* t : it->second) elements += store().weight(t->row).numel();
  return elements * static_cast<int64_t>(sizeof(float));
}

StepReport UpdateNow::finish(const StepContext&) {
  commit_unreached();
  end_norm();
  store().begin_update();  // copies from before are of no use now
  // Waits for the device: here, once a step, with all updates under way.
  previous_norm_ = norm_.cpu();
  phase_ = StepPhase::kUpdate;
  StepReport report{previous_norm_.item<double>(), clip_.item<double>(), ""};
  if (!std::isfinite(report.gradient_norm)) {
    for (const std::string& name : mesh().gather_text(bad_tensor_, MeshAxis::kAll))
      if (report.bad_tensor.empty()) report.bad_tensor = name;
  }
  return report;
}

NamedParts UpdateNow::state() const {
  NamedParts all = UpdatingSink::state();
  if (is_by_previous()) {
    TensorCut whole;
    whole.shape = {1};
    all[kPreviousNorm] = {whole, previous_norm_};
  }
  return all;
}

void UpdateNow::load_state(const std::function<at::Tensor(const std::string& name)>& whole) {
  UpdatingSink::load_state(whole);
  if (!is_by_previous()) return;
  // A run that clipped otherwise has none: its next step is not clipped, as a first one.
  const at::Tensor saved = whole(kPreviousNorm);
  if (saved.defined() && saved.sizes() == previous_norm_.sizes() &&
      saved.scalar_type() == at::kDouble)
    previous_norm_ = saved.clone();
}

}  // namespace vit22b
