#include "train/tasks/unlock.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace vit22b {

Unlock::Unlock(const std::string& text, const std::string& option) {
  if (text == "none") return;
  if (text == "all") {
    num_blocks_ = -1;
    return;
  }
  const auto blocks = leading_number(text);
  if (!blocks || !blocks->second.empty() || blocks->first < 1 || blocks->first > 1e6 ||
      blocks->first != std::floor(blocks->first))
    throw UsageError(option, " is '", text, "', want none, all, or a number of last blocks");
  num_blocks_ = static_cast<int64_t>(blocks->first);
}

int64_t Unlock::first_block(int64_t depth) const {
  return num_blocks_ < 0 ? -1 : std::max<int64_t>(0, depth - num_blocks_);
}

double Unlock::share(int64_t depth) const {
  const int64_t first = std::max<int64_t>(0, first_block(depth));
  return static_cast<double>(depth - first) / static_cast<double>(depth);
}

bool Unlock::trains(const Unit& unit, int64_t depth) const {
  if (is_none()) return false;
  const int64_t first = first_block(depth);
  if (first < 0) return true;
  return unit.kind == UnitKind::kBlock ? unit.index >= first : unit.kind > UnitKind::kBlock;
}

int64_t depth_of(const std::vector<ParameterRow>& table, Tower tower) {
  int64_t depth = 0;
  for (const ParameterRow& row : table)
    if (row.unit.tower == tower && row.unit.kind == UnitKind::kBlock)
      depth = std::max(depth, row.unit.index + 1);
  return depth;
}

}  // namespace vit22b
