#pragma once
#include <list>
#include <map>
#include <vector>

#include "store/master_store.h"
#include "store/weight_source.h"

namespace vit22b {

/// Weights whose rows are cut over the data axis, gathered before use while the units before them
/// compute: the paper's parameter sharding. Small tensors are replicated.
///
/// A rank holds its rows of every large tensor, and the whole (on a model axis, its part) of the
/// unit in use and of `prefetch_depth` units ahead. Replicated as well are tensors of which some
/// rank of the model axis has fewer rows than the data axis has ranks. Collectives of the data
/// axis: every rank acquires the same units in the same order.
class ShardedStore : public MasterStore {
 public:
  ShardedStore(const std::vector<ParameterRow>& table, WeightSource& source, c10::Device device,
               const Mesh& mesh, int64_t prefetch_depth = 1);

  UnitLease acquire(const Unit& unit, Pass pass) override;
  void prefetch(const Unit& unit, Pass pass) override;
  bool is_keeping() const override { return false; }
  at::Tensor& weight(const ParameterRow& row) override;
  TensorCut cut(const ParameterRow& row) const override;
  void begin_update() override;
  std::string transfers_text() const override;

  /// How long acquire has waited for gatherings: of all units, and of those that began a pass.
  struct Waiting {
    double seconds = 0, first_seconds = 0;
  };
  const Waiting& waiting() const { return waiting_; }
  /// The most bytes of gathered tensors at one time, so far.
  int64_t peak_gathered_bytes() const { return peak_gathered_bytes_; }
  int64_t gathered_bytes(const Unit& unit, Pass pass) const override;

 private:
  struct Owned {
    std::string local_name;
    TensorCut cut;
    at::Tensor part;
    std::vector<int64_t> gathered_shape;  ///< of all data ranks' rows
  };
  struct Gathering {
    Unit unit;
    std::shared_ptr<NamedTensors> tensors;
    std::vector<PendingPtr> works;
    int64_t bytes = 0;
  };

  Gathering& start(const Unit& unit);
  Gathering* find(const Unit& unit);
  std::vector<Unit> ahead_of(const Unit& unit, Pass pass) const;
  static bool is_gathered(const std::vector<Owned>& unit);

  const Mesh& mesh_;
  const int64_t prefetch_depth_;
  std::map<Unit, std::vector<Owned>> units_;
  std::map<std::string, std::pair<Unit, size_t>> places_;
  std::list<Gathering> gatherings_;
  Pass last_pass_ = Pass::kBackward;
  Waiting waiting_;
  int64_t peak_gathered_bytes_ = 0;
};

}  // namespace vit22b
