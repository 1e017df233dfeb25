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

/// Which parameters train, as patterns of names.
struct TrainedNames {
  std::vector<std::string> frozen;  ///< none of these
  /// These, adapters, heads and a task's own, and no others; empty: all, where there are no
  /// adapters.
  std::vector<std::string> tuned = {};
};

/// The paper's rules: only kernels and adapters decay, the classifier's by head_weight_decay;
/// biases, norms, position table and learned tokens do not. The rate falls by layer_decay for each
/// block from the head down (BEiT, arXiv 2106.08254; timm param_groups_layer_decay).
///
/// throws  UsageError when a pattern matches nothing
std::vector<ParameterRule> make_rules(const std::vector<ParameterRow>& table,
                                      const OptimConfig& config, const TrainedNames& trained);

}  // namespace vit22b
