#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "model/unit.h"

namespace vit22b {

/// Tensors by their local name inside a unit, such as "in_proj.weight".
using NamedTensors = std::map<std::string, at::Tensor, std::less<>>;

/// Which walk over the units a lease is for; stores prefetch and drop by it.
enum class Pass { kForward, kBackward };

/// A unit's weights for as long as the lease lives, in timm's layout: whole tensors, or this rank's
/// part on a model axis.
class UnitLease {
 public:
  explicit UnitLease(std::shared_ptr<const NamedTensors> weights) : weights_(std::move(weights)) {}
  const NamedTensors& weights() const { return *weights_; }

 private:
  std::shared_ptr<const NamedTensors> weights_;
};

/// Where weights live: resident, sharded, streamed or generated.
///
/// acquire may wait for a copy or a collective; a lease of one unit must not be held across the
/// acquire of a unit that is more than one step away, so that stores with two slots can serve.
class WeightStore {
 public:
  virtual ~WeightStore() = default;
  /// throws  InternalError when the unit is not of this model
  virtual UnitLease acquire(const Unit& unit, Pass pass) = 0;
  /// Starts what acquire would wait for; may do nothing.
  virtual void prefetch(const Unit& unit, Pass pass) = 0;
  /// Whether the tensors stay where they are. Where they do not, nobody holds them beyond the
  /// lease.
  virtual bool is_keeping() const { return true; }
  /// What its transfers have cost so far, for people; "" where it makes none.
  virtual std::string transfers_text() const { return ""; }
};

}  // namespace vit22b
