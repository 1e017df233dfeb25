#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace vit22b {

/// The parts that weights are leased and gradients committed by: nothing stays outside of one.
/// kTask is of what a training task adds to the model.
enum class UnitKind { kEmbedding, kBlock, kFinalNorm, kPool, kHead, kTask };

/// The tower that a config's model is, or the image tower that trains beside a text tower.
enum class Tower { kMain, kImage };

/// One unit of one tower; `index` counts blocks and is 0 elsewhere.
struct Unit {
  UnitKind kind = UnitKind::kEmbedding;
  int64_t index = 0;
  Tower tower = Tower::kMain;

  bool operator==(const Unit&) const = default;
  /// Tower by tower, each in the order of its forward pass.
  std::strong_ordering operator<=>(const Unit& other) const;
  /// "embedding", "block 7", "final norm", "pool", "head", "task"; "image tower's block 7".
  std::string name() const;
};

inline Unit block_unit(int64_t index) {
  return {UnitKind::kBlock, index};
}

}  // namespace vit22b
