#pragma once
#include <cstdint>
#include <string>

namespace vit22b {

/// The parts that weights are leased and gradients committed by: nothing stays outside of one.
enum class UnitKind { kEmbedding, kBlock, kFinalNorm, kPool, kHead };

/// One unit of one tower; `index` counts blocks and is 0 elsewhere.
struct Unit {
  UnitKind kind = UnitKind::kEmbedding;
  int64_t index = 0;

  bool operator==(const Unit&) const = default;
  /// The order of the forward pass.
  auto operator<=>(const Unit&) const = default;  // NOLINT(modernize-use-nullptr): clang 14 errs
  /// "embedding", "block 7", "final norm", "pool", "head".
  std::string name() const;
};

inline Unit block_unit(int64_t index) {
  return {UnitKind::kBlock, index};
}

}  // namespace vit22b
