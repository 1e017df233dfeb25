#include "model/unit.h"

namespace vit22b {
namespace {

std::string name_in_tower(const Unit& unit) {
  switch (unit.kind) {
    case UnitKind::kEmbedding:
      return "embedding";
    case UnitKind::kBlock:
      return "block " + std::to_string(unit.index);
    case UnitKind::kFinalNorm:
      return "final norm";
    case UnitKind::kPool:
      return "pool";
    case UnitKind::kHead:
      return "head";
    case UnitKind::kTask:
      break;
  }
  return "task";
}

}  // namespace

std::strong_ordering Unit::operator<=>(const Unit& other) const {
  if (tower != other.tower) return tower <=> other.tower;
  if (kind != other.kind) return kind <=> other.kind;
  return index <=> other.index;
}

std::string Unit::name() const {
  return (tower == Tower::kImage ? "image tower's " : "") + name_in_tower(*this);
}

}  // namespace vit22b
