#include "model/unit.h"

namespace vit22b {

std::string Unit::name() const {
  switch (kind) {
    case UnitKind::kEmbedding:
      return "embedding";
    case UnitKind::kBlock:
      return "block " + std::to_string(index);
    case UnitKind::kFinalNorm:
      return "final norm";
    case UnitKind::kPool:
      return "pool";
    case UnitKind::kHead:
      break;
  }
  return "head";
}

}  // namespace vit22b
