#pragma once
#include "model/gradient_sink.h"

namespace vit22b {

/// One tower's units of a store of several, under the names that a pass over one model asks for.
class TowerStore : public WeightStore {
 public:
  /// store  outlives this
  TowerStore(WeightStore& store, Tower tower) : store_(store), tower_(tower) {}

  UnitLease acquire(const Unit& unit, Pass pass) override;
  void prefetch(const Unit& unit, Pass pass) override;
  bool is_keeping() const override { return store_.is_keeping(); }
  std::string transfers_text() const override { return store_.transfers_text(); }

 private:
  WeightStore& store_;
  Tower tower_;
};

/// The same of a sink. A step's phases and its finish are of all towers together: those are the
/// sink's own.
class TowerSink : public GradientSink {
 public:
  /// sink  outlives this
  TowerSink(GradientSink& sink, Tower tower) : sink_(sink), tower_(tower) {}

  const std::set<std::string>& trained(const Unit& unit) const override;
  UnitGrads& begin(const Unit& unit) override;
  void commit(const Unit& unit) override;
  /// throws  InternalError: see above
  StepReport finish(const StepContext& context) override;

 private:
  GradientSink& sink_;
  Tower tower_;
};

}  // namespace vit22b
