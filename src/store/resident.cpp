#include "store/resident.h"

#include "core/error.h"

namespace vit22b {

ResidentStore::ResidentStore(const std::vector<ParameterRow>& table, WeightSource& source,
                             c10::Device device, const Mesh& mesh) {
  const MeshPlace place = place_of(mesh);
  for (const ParameterRow& row : table)
    keep(row, read_part(source, row, tensor_cut(row), place, device));
}

ResidentStore::ResidentStore(const std::vector<ParameterRow>& table, WeightSource& source,
                             at::ScalarType matrix_type, StateMemory& memory, const Mesh& mesh)
    : memory_(&memory) {
  const MeshPlace place = place_of(mesh);
  for (const ParameterRow& row : table) {
    const TensorCut cut = tensor_cut(row);
    at::Tensor weight = memory.zeros(part_shape(cut, place), held_type(row, matrix_type));
    if (weight.is_cpu() && weight.sizes() == at::IntArrayRef(row.shape)) {
      source.read(row, weight);
    } else {
      weight.copy_(read_part(source, row, cut, place, weight.device()));
    }
    memory.release(weight);
    keep(row, std::move(weight));
  }
}

ResidentStore::ResidentStore(const std::vector<ParameterRow>& table, WeightSource& source,
                             at::ScalarType matrix_type, c10::Device device) {
  for (const ParameterRow& row : table) {
    at::Tensor weight = at::empty(row.shape, at::TensorOptions(held_type(row, matrix_type))
                                                 .device(device.is_meta() ? device : at::kCPU));
    source.read(row, weight);
    keep(row, weight.to(device));
  }
}

void ResidentStore::keep(const ParameterRow& row, at::Tensor weight) {
  std::shared_ptr<NamedTensors>& unit = units_[row.unit];
  if (unit == nullptr) unit = std::make_shared<NamedTensors>();
  (*unit)[row.local_name] = std::move(weight);
  names_[row.name] = {row.unit, row.local_name};
}

ResidentStore::ResidentStore(const std::vector<ParameterRow>& table, const NamedTensors& weights,
                             c10::Device device) {
  for (const ParameterRow& row : table) {
    const auto it = weights.find(row.name);
    VIT22B_CHECK(it != weights.end() && it->second.sizes() == at::IntArrayRef(row.shape),
                 "ResidentStore: weight '", row.name, "' is absent or misshapen");
    keep(row, it->second.to(device, at::kFloat).contiguous());
  }
}

// Lets the memory know which unit was used, and which comes next.
void ResidentStore::move_on(const Unit& unit, Pass pass) {
  if (memory_ == nullptr || unit == in_use_) return;
  if (const auto used = units_.find(in_use_); used != units_.end())
    for (const auto& [name, weight] : *used->second) memory_->release(weight);
  in_use_ = unit;
  auto next = units_.find(unit);
  if (next == units_.end() || (pass == Pass::kBackward && next == units_.begin())) return;
  pass == Pass::kForward ? ++next : --next;
  if (next == units_.end()) return;
  for (const auto& [name, weight] : *next->second) memory_->will_need(weight);
}

UnitLease ResidentStore::acquire(const Unit& unit, Pass pass) {
  static const auto kNoWeights = std::make_shared<const NamedTensors>();
  move_on(unit, pass);
  const auto it = units_.find(unit);
  if (it == units_.end()) return UnitLease(kNoWeights);  // pooling by mean has none
  if (is_keeping()) return UnitLease(it->second);
  auto copies = std::make_shared<NamedTensors>();
  for (const auto& [name, weight] : *it->second) (*copies)[name] = memory_->in_use(weight);
  return UnitLease(std::move(copies));
}

void ResidentStore::begin_update() {
  if (memory_ != nullptr) memory_->settle();
}

at::Tensor& ResidentStore::weight(const ParameterRow& row) {
  return units_.at(row.unit)->at(row.local_name);
}

NamedTensors ResidentStore::by_full_name() const {
  NamedTensors all;
  for (const auto& [name, place] : names_) all[name] = units_.at(place.first)->at(place.second);
  return all;
}

}  // namespace vit22b
