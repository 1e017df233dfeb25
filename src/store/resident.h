#pragma once
#include <map>
#include <vector>

#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// All weights in this process's memory, on one device.
class ResidentStore : public WeightStore {
 public:
  /// weights  by full name, one for each row of the table; float32
  ResidentStore(const std::vector<ParameterRow>& table, const NamedTensors& weights,
                c10::Device device);

  UnitLease acquire(const Unit& unit, Pass pass) override;
  void prefetch(const Unit&, Pass) override {}

  /// The tensor itself, for in-place updates.
  at::Tensor& weight(const ParameterRow& row);
  /// All weights by full name, sharing storage.
  NamedTensors by_full_name() const;

 private:
  std::map<Unit, std::shared_ptr<NamedTensors>> units_;
  std::map<std::string, std::pair<Unit, std::string>> names_;
};

}  // namespace vit22b
