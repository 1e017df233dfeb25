#include "optim/rules.h"

#include <map>

#include "core/error.h"

namespace vit22b {

namespace {

/// How many steps of layer_decay a unit is from the head: 0 above the blocks, depth + 1 for the
/// embedding.
int64_t distance_from_head(const Unit& unit, int64_t depth) {
  if (unit.kind == UnitKind::kEmbedding) return depth + 1;
  return unit.kind == UnitKind::kBlock ? depth - unit.index : 0;
}

}  // namespace

std::vector<ParameterRule> make_rules(const std::vector<ParameterRow>& table,
                                      const OptimConfig& config,
                                      const std::vector<std::string>& frozen) {
  std::vector<ParameterRule> rules(table.size());
  std::map<Tower, int64_t> depths;
  for (const ParameterRow& row : table)
    if (row.unit.kind == UnitKind::kBlock)
      depths[row.unit.tower] = std::max(depths[row.unit.tower], row.unit.index + 1);
  for (size_t i = 0; i < table.size(); ++i) {
    rules[i].learning_rate_factor = std::pow(
        config.layer_decay, distance_from_head(table[i].unit, depths[table[i].unit.tower]));
    if (table[i].group == ParameterGroup::kHead) rules[i].weight_decay = config.head_weight_decay;
    if (table[i].group == ParameterGroup::kKernel) rules[i].weight_decay = config.weight_decay;
  }
  for (const std::string& pattern : frozen) {
    bool is_used = false;
    for (size_t i = 0; i < table.size(); ++i) {
      if (!matches_pattern(table[i].name, pattern)) continue;
      rules[i].is_trained = false;
      is_used = true;
    }
    if (!is_used)
      throw UsageError("freeze: '", pattern,
                       "' matches no parameter; `vit22b model show` lists their names");
  }
  return rules;
}

}  // namespace vit22b
