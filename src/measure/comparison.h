#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "metrics/interval.h"

namespace vit22b {

/// Accuracies of pairs of runs on the same samples, and their mean difference.
struct PairedDifference {
  struct Pair {
    double accuracy = 0, against = 0;
  };
  std::vector<Pair> runs;
  double mean = 0;             ///< of the runs' minus the others' accuracy
  metrics::Interval interval;  ///< over samples and runs
};

/// Compares files as PredictionFile reads them, pair by pair.
///
/// key     of files with several predictions, the number of neighbours or shots; else 0
/// throws  UsageError where the numbers of files differ, and as PredictionFile does
PairedDifference compare_predictions(const std::vector<std::string>& runs,
                                     const std::vector<std::string>& against, int64_t key,
                                     uint64_t seed);

}  // namespace vit22b
