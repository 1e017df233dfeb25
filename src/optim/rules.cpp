#include "optim/rules.h"

#include <algorithm>
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

void set_trained(const char* key, const std::vector<std::string>& patterns, bool is_trained,
                 const std::vector<ParameterRow>& table, std::vector<ParameterRule>& rules) {
  for (const std::string& pattern : patterns) {
    bool is_used = false;
    for (size_t i = 0; i < table.size(); ++i) {
      if (!matches_pattern(table[i].name, pattern)) continue;
      rules[i].is_trained = is_trained;
      is_used = true;
    }
    if (!is_used)
      throw UsageError(key, ": '", pattern,
                       "' matches no parameter; `vit22b model show` lists their names");
  }
}

/// Beside adapters, or names that alone shall train, the head and a task's own parameters do.
void freeze_all_but_small(const std::vector<ParameterRow>& table,
                          const std::vector<std::string>& tuned,
                          std::vector<ParameterRule>& rules) {
  const auto is_adapter = [](const ParameterRow& row) {
    return row.group == ParameterGroup::kAdapter;
  };
  if (tuned.empty() && std::none_of(table.begin(), table.end(), is_adapter)) return;
  for (size_t i = 0; i < table.size(); ++i) {
    const UnitKind kind = table[i].unit.kind;
    rules[i].is_trained =
        is_adapter(table[i]) || kind == UnitKind::kHead || kind == UnitKind::kTask;
  }
  set_trained("tune", tuned, true, table, rules);
}

}  // namespace

std::vector<ParameterRule> make_rules(const std::vector<ParameterRow>& table,
                                      const OptimConfig& config, const TrainedNames& trained) {
  std::vector<ParameterRule> rules(table.size());
  std::map<Tower, int64_t> depths;
  for (const ParameterRow& row : table)
    if (row.unit.kind == UnitKind::kBlock)
      depths[row.unit.tower] = std::max(depths[row.unit.tower], row.unit.index + 1);
  for (size_t i = 0; i < table.size(); ++i) {
    rules[i].learning_rate_factor = std::pow(
        config.layer_decay, distance_from_head(table[i].unit, depths[table[i].unit.tower]));
    if (table[i].group == ParameterGroup::kHead) rules[i].weight_decay = config.head_weight_decay;
    if (table[i].group == ParameterGroup::kKernel || table[i].group == ParameterGroup::kAdapter)
      rules[i].weight_decay = config.weight_decay;
  }
  freeze_all_but_small(table, trained.tuned, rules);
  set_trained("freeze", trained.frozen, false, table, rules);
  return rules;
}

}  // namespace vit22b
