#include "metrics/fairness.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

Share share_of(double part, int64_t all) {
  if (all == 0) return {kUndefined, {kUndefined, kUndefined}, 0};
  return {part / static_cast<double>(all), wilson_interval(std::llround(part), all), all};
}

/// What a group's decisions add up to.
struct GroupSums {
  int64_t count = 0, truths = 0;
  double right = 0, positive = 0, true_positive = 0;
};

double chance(double score, double offset, double gamma) {
  return std::clamp((2 * score - 1 - offset) / gamma, 0.0, 1.0);
}

double mean_chance(const std::vector<double>& scores, double offset, double gamma) {
  double sum = 0;
  for (const double score : scores) sum += chance(score, offset, gamma);
  return sum / static_cast<double>(scores.size());
}

// Where the mean chance, which falls from 1 to 0 as the offset rises, is `rate`.
double offset_for(const std::vector<double>& scores, double rate, double gamma) {
  double low = -1 - gamma, high = 1;
  constexpr int kHalvings = 60;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (mean_chance(scores, middle, gamma) > rate ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

std::vector<GroupRates> group_rates(std::span<const Decision> decisions, int64_t num_groups) {
  std::vector<GroupSums> sums(static_cast<size_t>(num_groups));
  for (const Decision& d : decisions) {
    GroupSums& sum = sums[static_cast<size_t>(d.group)];
    ++sum.count;
    sum.truths += d.label ? 1 : 0;
    sum.right += d.label ? d.positive : 1 - d.positive;
    sum.positive += d.positive;
    sum.true_positive += d.label ? d.positive : 0;
  }
  std::vector<GroupRates> groups;
  groups.reserve(sums.size());
  for (const GroupSums& sum : sums)
    groups.push_back({sum.count, share_of(sum.right, sum.count), share_of(sum.positive, sum.count),
                      share_of(sum.true_positive, sum.truths),
                      share_of(sum.positive - sum.true_positive, sum.count - sum.truths)});
  return groups;
}

double gap(const std::vector<GroupRates>& groups, Share GroupRates::*rate) {
  double least = std::numeric_limits<double>::infinity(), most = -least;
  int64_t defined = 0;
  for (const GroupRates& group : groups) {
    const double value = (group.*rate).value;
    if (std::isnan(value)) continue;
    ++defined;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  return defined < 2 ? kUndefined : most - least;
}

double equalized_odds_gap(const std::vector<GroupRates>& groups) {
  const double of_true = gap(groups, &GroupRates::true_positive_rate),
               of_false = gap(groups, &GroupRates::false_positive_rate);
  return std::isnan(of_true) || std::isnan(of_false) ? kUndefined : std::max(of_true, of_false);
}

RandomizedThreshold::RandomizedThreshold(std::span<const double> scores,
                                         std::span<const int64_t> groups, int64_t num_groups,
                                         double level, const Options& options)
    : gamma_(options.gamma) {
  std::vector<std::vector<double>> of_group(static_cast<size_t>(num_groups));
  for (size_t i = 0; i < scores.size(); ++i)
    of_group[static_cast<size_t>(groups[i])].push_back(scores[i]);
  for (int64_t k = 0; k < num_groups; ++k) {
    const std::vector<double>& own = of_group[static_cast<size_t>(k)];
    if (own.empty()) throw DataError("randomised thresholds: group ", k, " has no samples");
    const double rate = mean_chance(own, 0, gamma_), low = level - options.tolerance / 2,
                 high = level + options.tolerance / 2;
    offsets_.push_back(rate < low    ? offset_for(own, low, gamma_)
                       : rate > high ? offset_for(own, high, gamma_)
                                     : 0.0);
  }
}

double RandomizedThreshold::positive(double score, int64_t group) const {
  return chance(score, offsets_[static_cast<size_t>(group)], gamma_);
}

}  // namespace vit22b::metrics
