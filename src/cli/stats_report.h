#pragma once
#include <optional>
#include <string>
#include <vector>

#include "measure/activation_statistics.h"
#include "measure/weight_statistics.h"

namespace vit22b {

/// Everything that `model stats` tells of a checkpoint.
struct Statistics {
  std::string checkpoint;
  std::vector<BlockWeights> weights;
  std::optional<ActivationStatistics> activations;  ///< where there are pictures
};

/// As JSON, with what each number means; what is undefined is null.
std::string statistics_json(const Statistics& found);
/// A line a block.
std::string statistics_text(const Statistics& found);

}  // namespace vit22b
