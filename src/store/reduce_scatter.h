#pragma once
#include <map>
#include <vector>

#include "model/gradient_sink.h"
#include "store/master_store.h"

namespace vit22b {

/// Sums a sharded store's gradients over the data axis as each unit is committed, while the units
/// below compute, and gives another sink this rank's rows: no rank holds the whole model's
/// gradients.
class ReduceScatter : public GradientSink {
 public:
  /// inner  takes gradients in the shapes of the store's parts; all outlive this
  ReduceScatter(GradientSink& inner, const std::vector<ParameterRow>& table, MasterStore& store,
                const Mesh& mesh);

  const std::set<std::string>& trained(const Unit& unit) const override {
    return inner_.trained(unit);
  }
  std::vector<StepPhase> phases() const override { return inner_.phases(); }
  void begin_phase(StepPhase phase, const StepContext& context) override;
  UnitGrads& begin(const Unit& unit) override;
  void commit(const Unit& unit) override;
  StepReport finish(const StepContext& context) override;
  /// Bytes of whole gradients that exist while the backward pass is at a unit: its own, and those
  /// that are still being summed.
  int64_t gradient_bytes(const Unit& unit) const;

 private:
  struct Row {
    std::string local_name;
    int64_t data_dim;
    std::vector<int64_t> shape;  ///< before the data axis cuts it
    c10::Device device;
  };
  struct Sum {
    PendingPtr work;  ///< null where the data axis does not cut the tensor
    at::Tensor part;
    std::string local_name;
  };

  void end_open();

  GradientSink& inner_;
  const Mesh& mesh_;
  std::map<Unit, std::vector<Row>> rows_;
  UnitGrads current_;
  Unit open_unit_;
  std::vector<Sum> open_;
};

}  // namespace vit22b
