#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "metrics/interval.h"

namespace vit22b::metrics {

/// A binary decision about a member of a group.
struct Decision {
  int64_t group = 0;   ///< from 0
  bool label = false;  ///< the truth
  /// The chance that it is decided positive: 0 or 1, or between where decisions are randomised.
  double positive = 0;
};

/// A share, with Wilson's interval; NaN for a share of none.
struct Share {
  double value = 0;
  Interval interval;
  int64_t of = 0;  ///< how many it is a share of
};

/// How decisions treat a group.
struct GroupRates {
  int64_t count = 0;
  Share accuracy;
  Share positive_rate;        ///< decided positive, of all
  Share true_positive_rate;   ///< of those whose truth is positive
  Share false_positive_rate;  ///< of those whose truth is negative
};

std::vector<GroupRates> group_rates(std::span<const Decision> decisions, int64_t num_groups);

/// The largest less the smallest of a rate over the groups that have one; NaN where fewer than two
/// have.
double gap(const std::vector<GroupRates>& groups, Share GroupRates::*rate);

/// The larger of the gaps of true and of false positive rates.
///
/// source  Hardt et al. 2016; fairlearn's equalized_odds_difference
double equalized_odds_gap(const std::vector<GroupRates>& groups);

/// Decisions that are positive equally often in every group, within a tolerance, and as near to
/// the scores as can be: of score y in -1 to 1 with the chance clip((y - offset) / gamma, 0, 1).
class RandomizedThreshold {
 public:
  struct Options {
    double gamma = 0.05;     ///< how much is left to chance
    double tolerance = 0.0;  ///< epsilon: rates may lie tolerance / 2 to either side of the level
  };

  /// The optimum of the problem that the source's gradient descent comes near to: a group's offset
  /// stays 0 where its rate is within the tolerance, else it is where the rate meets the bound.
  ///
  /// scores      chances p in 0 to 1 of being positive, and the group of each
  /// level       the rate aimed at
  /// source      Alabdulmohsin and Lucic 2021, "A near-optimal algorithm for debiasing trained
  ///             machine learning models"; google-research ml_debiaser
  /// throws      DataError naming a group without samples
  RandomizedThreshold(std::span<const double> scores, std::span<const int64_t> groups,
                      int64_t num_groups, double level, const Options& options);

  /// The chance of a positive decision.
  double positive(double score, int64_t group) const;
  const std::vector<double>& offsets() const { return offsets_; }

 private:
  double gamma_;
  std::vector<double> offsets_;  ///< of each group
};

}  // namespace vit22b::metrics
