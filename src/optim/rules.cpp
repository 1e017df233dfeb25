#include "optim/rules.h"

#include "core/error.h"

namespace vit22b {

std::vector<ParameterRule> make_rules(const std::vector<ParameterRow>& table,
                                      const OptimConfig& config,
                                      const std::vector<std::string>& frozen) {
  std::vector<ParameterRule> rules(table.size());
  for (size_t i = 0; i < table.size(); ++i) {
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
