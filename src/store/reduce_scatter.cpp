#include "store/reduce_scatter.h"

namespace vit22b {

ReduceScatter::ReduceScatter(GradientSink& inner, const std::vector<ParameterRow>& table,
                             MasterStore& store, const Mesh& mesh)
    : inner_(inner), mesh_(mesh) {
  const MeshPlace place = place_of(mesh);
  for (const ParameterRow& row : table)
    if (inner_.trained(row.unit).count(row.local_name) != 0)
      rows_[row.unit].push_back({row.local_name,
                                 mesh.size(MeshAxis::kData) > 1 ? store.cut(row).data_dim : -1,
                                 part_shape(tensor_cut(row), place), store.weight(row).device()});
}

int64_t ReduceScatter::gradient_bytes(const Unit& unit) const {
  const auto at = rows_.find(unit);
  int64_t elements = 0;
  for (auto it = at; it != rows_.end() && it != std::next(at, 2); ++it)
    for (const Row& row : it->second) elements += c10::multiply_integers(row.shape);
  return elements * static_cast<int64_t>(sizeof(float));
}

void ReduceScatter::begin_phase(StepPhase phase, const StepContext& context) {
  end_open();
  inner_.begin_phase(phase, context);
}

UnitGrads& ReduceScatter::begin(const Unit& unit) {
  current_ = {};
  for (const Row& row : rows_.at(unit))
    current_.tensors[row.local_name] =
        at::empty(row.shape, at::TensorOptions(at::kFloat).device(row.device));
  return current_;
}

void ReduceScatter::commit(const Unit& unit) {
  end_open();  // one unit's sums at a time are under way
  open_unit_ = unit;
  const UnitGrads& parts = inner_.begin(unit);
  for (const Row& row : rows_.at(unit)) {
    const at::Tensor& whole = current_.tensors.at(row.local_name);
    Sum sum{nullptr, whole, row.local_name};
    if (row.data_dim >= 0) {
      sum.part = at::empty_like(parts.tensors.at(row.local_name));
      sum.work = mesh_.along(MeshAxis::kData)
                     .start_reduce_scatter(whole.flatten(0, row.data_dim),
                                           sum.part.flatten(0, row.data_dim),
                                           "gradient of " + unit.name() + " " + row.local_name);
    }
    open_.push_back(std::move(sum));
  }
  current_ = {};
}

void ReduceScatter::end_open() {
  if (open_.empty()) return;
  UnitGrads& parts = inner_.begin(open_unit_);
  for (const Sum& sum : open_) {
    if (sum.work != nullptr) sum.work->wait();
    const at::Tensor& target = parts.tensors.at(sum.local_name);
    parts.is_overwrite ? target.copy_(sum.part) : target.add_(sum.part);
  }
  inner_.commit(open_unit_);
  open_.clear();
}

StepReport ReduceScatter::finish(const StepContext& context) {
  end_open();
  return inner_.finish(context);
}

}  // namespace vit22b
