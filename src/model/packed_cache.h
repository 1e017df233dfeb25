#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "model/engine.h"
#include "model/unit.h"

namespace vit22b {

/// Packed weights that outlive a pass: for inference over weights that stay in memory. It costs the
/// blocks' weights once more.
class PackedCache {
 public:
  /// The unit's packed weights, made anew where the weights have changed since the last call.
  const PackedWeights* get(const Engine& engine, const BlockSpec& block, const Unit& unit,
                           const NamedTensors& weights, at::ScalarType compute_type);

 private:
  /// Which tensors were packed, at which of their versions. They are held, so that no other tensor
  /// can come to lie where they lay.
  using Version = std::vector<std::pair<at::Tensor, uint32_t>>;
  struct Entry {
    Version version;
    std::unique_ptr<PackedWeights> packed;
  };
  std::map<Unit, Entry> entries_;
};

}  // namespace vit22b
