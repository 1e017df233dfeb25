#pragma once
#include <map>
#include <string>

#include "checkpoint/weights.h"
#include "dist/tensor_cut.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// A store that owns weights which an optimizer changes.
class MasterStore : public WeightStore {
 public:
  /// The part that this rank owns, for in-place updates.
  virtual at::Tensor& weight(const ParameterRow& row) = 0;
  /// How the parameter is cut, by both axes.
  virtual TensorCut cut(const ParameterRow& row) const = 0;
  /// Waits for whatever still reads weights, and forgets copies of them: they are about to change.
  virtual void begin_update() {}
  /// Bytes of copies that exist beside the owned parts while a pass uses a unit.
  virtual int64_t gathered_bytes(const Unit&, Pass) const { return 0; }
};

/// All owned parts by full name, sharing storage.
NamedParts owned_parts(MasterStore& store, const std::vector<ParameterRow>& table);

}  // namespace vit22b
