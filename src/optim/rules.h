#pragma once
#include <string>
#include <vector>

#include "model/parameter_table.h"
#include "optim/optimizer.h"

namespace vit22b {

/// How one parameter trains.
struct ParameterRule {
  bool is_trained = true;
  double learning_rate_factor = 1;
  double weight_decay = 0;
};

/// The paper's rules: only kernels decay, the classifier's by head_weight_decay; biases, norms,
/// position table and learned tokens do not. The rate falls by layer_decay for each block from the
/// head down (BEiT, arXiv 2106.08254; timm param_groups_layer_decay). Names that match a pattern of
/// `frozen` do not train.
///
/// throws  UsageError when a pattern matches nothing
std::vector<ParameterRule> make_rules(const std::vector<ParameterRow>& table,
                                      const OptimConfig& config,
                                      const std::vector<std::string>& frozen);

}  // namespace vit22b
