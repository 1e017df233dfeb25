#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "metrics/interval.h"

namespace vit22b::metrics {

/// How well scores tell positive samples from negative ones. Equal scores have no order: each
/// number is what a random order among them gives on average, or what a threshold between different
/// scores gives.
class Ranking {
 public:
  /// Scores, larger for what is positive; none is NaN.
  Ranking(std::span<const double> positives, std::span<const double> negatives);

  /// The chance that a positive sample stands above a negative one, equal ones counting half; NaN
  /// where there are none of either kind.
  ///
  /// source  Mann and Whitney 1947; scikit-learn's roc_auc_score
  double auroc() const;

  /// The 95 % percentile bootstrap of it: positives and negatives drawn anew, each as many as there
  /// are; 2,000 times, of many samples less often, at least 200 times.
  ///
  /// seed  of the resampling; the same seed gives the same interval
  Interval auroc_interval(uint64_t seed) const;

  /// The mean precision over the positives, each at the threshold that first takes it; NaN for no
  /// positives.
  ///
  /// source  scikit-learn's average_precision_score
  double average_precision() const;

  /// The share of negatives taken at the highest threshold that takes at least this share of the
  /// positives; NaN where there are none of either kind.
  double false_positive_rate(double true_positive_rate) const;

 private:
  /// Samples of equal scores.
  struct Tie {
    int64_t positives = 0, negatives = 0;
  };
  static double auroc_of(std::span<const Tie> ties);

  std::vector<Tie> ties_;  ///< the highest score first
  std::vector<uint32_t> places_of_positives_, places_of_negatives_;
};

}  // namespace vit22b::metrics
