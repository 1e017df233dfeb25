#pragma once
#include <string>
#include <vector>

#include "checkpoint/tensor_reader.h"
#include "core/watch.h"
#include "metrics/moments.h"

namespace vit22b {

/// A parameter's values.
struct ParameterStatistics {
  std::string name;
  metrics::Moments values;
  double spectral_norm = 0;  ///< of a matrix, else NaN
};

/// A block's weights.
struct BlockWeights {
  std::vector<ParameterStatistics> parameters;
  metrics::Moments matrices;  ///< the values of all its matrices together
  double spectral_norm = 0;   ///< the largest of a matrix of its
};

/// How the weights of each block of a checkpoint are spread; holds one parameter at a time.
///
/// table   the model's; rows of blocks are read
/// throws  CheckpointError as TensorReader does; Stopped between parameters
std::vector<BlockWeights> weight_statistics(const TensorReader& reader,
                                            const std::vector<ParameterRow>& table,
                                            const Watch& watch = {});

}  // namespace vit22b
