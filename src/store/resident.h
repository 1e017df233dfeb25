#pragma once
#include <map>
#include <vector>

#include "store/master_store.h"
#include "store/state_memory.h"
#include "store/weight_source.h"

namespace vit22b {

/// All of this rank's weights in memory, on one device: the whole model, or its part on a mesh's
/// model axis; replicated on the data axis.
class ResidentStore : public MasterStore {
 public:
  ResidentStore(const std::vector<ParameterRow>& table, WeightSource& source, c10::Device device,
                const Mesh& mesh);
  /// The same in a memory of the caller's choice, which outlives the store.
  ///
  /// matrix_type  for held_type
  ResidentStore(const std::vector<ParameterRow>& table, WeightSource& source,
                at::ScalarType matrix_type, StateMemory& memory, const Mesh& mesh);
  /// weights  by full name, one for each row of the table; float32; of one process
  ResidentStore(const std::vector<ParameterRow>& table, const NamedTensors& weights,
                c10::Device device);

  /// For inference: matrices may be in the products' own dtype.
  ///
  /// matrix_type  for held_type
  ResidentStore(const std::vector<ParameterRow>& table, WeightSource& source,
                at::ScalarType matrix_type, c10::Device device);

  UnitLease acquire(const Unit& unit, Pass pass) override;
  void prefetch(const Unit&, Pass) override {}
  bool is_keeping() const override { return memory_ == nullptr || memory_->is_keeping(); }
  at::Tensor& weight(const ParameterRow& row) override;
  TensorCut cut(const ParameterRow& row) const override { return tensor_cut(row); }
  void begin_update() override;

  /// All weights by full name, sharing storage.
  NamedTensors by_full_name() const;

 private:
  void move_on(const Unit& unit, Pass pass);
  void keep(const ParameterRow& row, at::Tensor weight);

  std::map<Unit, std::shared_ptr<NamedTensors>> units_;
  std::map<std::string, std::pair<Unit, std::string>> names_;
  StateMemory* memory_ = nullptr;
  Unit in_use_;
};

}  // namespace vit22b
