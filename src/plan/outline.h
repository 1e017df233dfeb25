#pragma once
#include <memory>
#include <vector>

#include "optim/optimizer.h"
#include "plan/request.h"
#include "store/state_memory.h"
#include "train/state_setup.h"

namespace vit22b {

/// What a rank of a training run holds, as the run's own store, sinks and optimizer make it, of
/// tensors without memory.
class TrainOutline {
 public:
  explicit TrainOutline(const PlanRequest& request);

  /// The parameters that are held in memory: all, but those that each pass reads again.
  const std::vector<ParameterRow>& table() const { return table_; }
  const MasterStore& store() const { return *store_; }
  const Sinks& sinks() const { return sinks_; }

  /// This rank's part of a parameter, without memory.
  const at::Tensor& weight(const ParameterRow& row) const { return store_->weight(row); }

  int64_t weight_bytes() const;
  int64_t state_bytes() const;
  /// Of the model itself, not of another tower.
  const BackwardShare& backward_share() const { return backward_share_; }
  /// The last blocks of the model, as many as a backward pass goes through.
  int64_t trained_blocks() const;
  bool is_embedding_trained() const { return is_trained({UnitKind::kEmbedding}); }
  /// Bytes of what weights are read into in every pass.
  int64_t streamed_bytes() const;
  struct UnitBytes {
    int64_t weights = 0;
    int64_t state = 0;
    int64_t largest_state = 0;   ///< of one of its tensors
    int64_t largest_weight = 0;  ///< elements of its largest tensor
  };
  UnitBytes unit_bytes(const Unit& unit) const;
  /// Bytes of gradients while the backward pass is at a unit.
  int64_t gradient_bytes(const Unit& unit) const;
  /// Bytes of the float32 copies that the graphs of units outside of blocks hold.
  int64_t leaf_bytes(UnitKind kind) const;

 private:
  bool is_trained(const Unit& unit) const { return !sinks_.updating->trained(unit).empty(); }

  struct Memory : StateMemory {
    explicit Memory(bool is_keeping) : is_kept(is_keeping) {}
    at::Tensor zeros(at::IntArrayRef shape, at::ScalarType dtype) override;
    bool is_keeping() const override { return is_kept; }
    const bool is_kept;
  };
  int64_t depth_;
  std::vector<ParameterRow> table_;
  Mesh mesh_;
  Memory memory_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<MasterStore> store_;
  Sinks sinks_;
  BackwardShare backward_share_;
};

/// Gives nothing: for stores of tensors without memory.
class NoSource : public WeightSource {
 public:
  explicit NoSource(bool is_computing = false) : is_computing_(is_computing) {}
  void read(const ParameterRow&, at::Tensor&) override {}
  bool is_computing() const override { return is_computing_; }

 private:
  bool is_computing_;
};

}  // namespace vit22b
