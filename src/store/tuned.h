#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "store/resident.h"
#include "store/streamed.h"

namespace vit22b {

/// A few weights that train in memory, as ResidentStore holds them, and all others read again in
/// every pass, as StreamedStore reads them: a model larger than the memory with adapters, norms,
/// biases or a head of its own. Every rank of a data axis reads for itself.
class TunedStore : public MasterStore {
 public:
  /// own          rows of the table that are held in memory
  /// source       of all of them
  /// matrix_type  for held_type, of those that are not
  TunedStore(const std::vector<ParameterRow>& table, const std::set<std::string>& own,
             std::unique_ptr<WeightSource> source, at::ScalarType matrix_type, StateMemory& memory,
             c10::Device device, const Mesh& mesh);

  UnitLease acquire(const Unit& unit, Pass pass) override;
  void prefetch(const Unit& unit, Pass pass) override { frozen_.prefetch(unit, pass); }
  bool is_keeping() const override { return false; }
  /// Of the rows in memory alone.
  at::Tensor& weight(const ParameterRow& row) override { return own_.weight(row); }
  TensorCut cut(const ParameterRow& row) const override { return own_.cut(row); }
  void begin_update() override { own_.begin_update(); }
  std::string transfers_text() const override { return frozen_.transfers_text(); }

  /// Bytes of what the others are read into.
  int64_t streamed_bytes() const { return frozen_.held_bytes(); }

 private:
  ResidentStore own_;
  StreamedStore frozen_;
};

}  // namespace vit22b
