#include "metrics/fairness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace vit22b::metrics {
namespace {

TEST(GroupRates, MatchAHandComputedCase) {
  // Group 0: right, wrong, right; group 1: one positive that is missed.
  const std::vector<Decision> decisions = {
      {0, true, 1}, {0, false, 1}, {0, false, 0}, {1, true, 0}};
  const auto groups = group_rates(decisions, 3);
  EXPECT_NEAR(groups[0].accuracy.value, 2.0 / 3, 1e-15);
  EXPECT_NEAR(groups[0].positive_rate.value, 2.0 / 3, 1e-15);
  EXPECT_DOUBLE_EQ(groups[0].true_positive_rate.value, 1);
  EXPECT_DOUBLE_EQ(groups[0].false_positive_rate.value, 0.5);
  EXPECT_DOUBLE_EQ(groups[1].accuracy.value, 0);
  EXPECT_TRUE(std::isnan(groups[1].false_positive_rate.value));
  EXPECT_TRUE(std::isnan(groups[2].accuracy.value));  // nobody is in it
  EXPECT_NEAR(gap(groups, &GroupRates::accuracy), 2.0 / 3, 1e-15);
  EXPECT_TRUE(std::isnan(gap(groups, &GroupRates::false_positive_rate)));  // one group has it
  EXPECT_TRUE(std::isnan(equalized_odds_gap(groups)));
}

struct Scored {
  std::vector<double> scores;
  std::vector<int64_t> groups;
};

// Scores of group 1 are higher.
Scored scored(size_t count) {
  const CounterRng rng(5, "test", "scores");
  Scored all;
  for (size_t i = 0; i < count; ++i) {
    all.groups.push_back(static_cast<int64_t>(i % 2));
    const double u = static_cast<double>(rng.uniform(i));
    all.scores.push_back(i % 2 == 0 ? u * u : std::sqrt(u));
  }
  return all;
}

double rate_of(const RandomizedThreshold& fitted, const Scored& all, int64_t group) {
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < all.scores.size(); ++i) {
    if (all.groups[i] != group) continue;
    sum += fitted.positive(all.scores[i], group);
    ++count;
  }
  return sum / static_cast<double>(count);
}

TEST(RandomizedThreshold, ReachesItsTolerance) {
  const Scored all = scored(4001);
  for (const double tolerance : {0.0, 0.02, 0.1, 0.3}) {
    const RandomizedThreshold fitted(all.scores, all.groups, 2, 0.5, {0.05, tolerance});
    for (const int64_t group : {0, 1})
      EXPECT_LE(std::abs(rate_of(fitted, all, group) - 0.5), tolerance / 2 + 1e-9);
    EXPECT_LE(rate_of(fitted, all, 1) - rate_of(fitted, all, 0), tolerance + 1e-9);
  }
}

TEST(RandomizedThreshold, LeavesAGroupWithinTheToleranceAlone) {
  const Scored all = scored(1000);
  const RandomizedThreshold fitted(all.scores, all.groups, 2, 0.5, {0.05, 1.0});
  EXPECT_EQ(fitted.offsets(), (std::vector<double>{0, 0}));
  EXPECT_EQ(fitted.positive(0.4, 0), 0);
  EXPECT_EQ(fitted.positive(0.6, 0), 1);
  EXPECT_NEAR(fitted.positive(0.5125, 0), 0.5, 1e-12);  // 2 p - 1 = 0.025 of gamma 0.05
}

// The published algorithm's steps of full gradients (google-research, ml_debiaser), as many as it
// takes.
double published_offset(const std::vector<double>& scores, double level, double gamma,
                        double tolerance) {
  double lambda = 0, mu = 0;
  for (int step = 0; step < 50000; ++step) {
    double mean = 0;
    for (const double score : scores)
      mean += std::clamp((2 * score - 1 - (lambda - mu)) / gamma, 0.0, 1.0);
    mean /= static_cast<double>(scores.size());
    lambda -= gamma / 2 * (tolerance / 2 + level - mean);
    mu -= gamma / 2 * (tolerance / 2 - level + mean);
    if (tolerance / 2 > 1e-3) lambda = std::max(0.0, lambda), mu = std::max(0.0, mu);
    if (tolerance / 2 <= 1e-3) mu = 0;
  }
  return lambda - mu;
}

// Where no score lies between them two offsets decide alike, so decisions are compared.
TEST(RandomizedThreshold, DecidesAsThePublishedStepsDo) {
  const Scored all = scored(200);
  for (const double tolerance : {0.0, 0.1}) {
    const RandomizedThreshold fitted(all.scores, all.groups, 2, 0.55, {0.05, tolerance});
    for (const int64_t group : {0, 1}) {
      std::vector<double> own;
      for (size_t i = 0; i < all.scores.size(); ++i)
        if (all.groups[i] == group) own.push_back(all.scores[i]);
      const double offset = published_offset(own, 0.55, 0.05, tolerance);
      for (const double score : own)
        EXPECT_NEAR(fitted.positive(score, group),
                    std::clamp((2 * score - 1 - offset) / 0.05, 0.0, 1.0), 1e-3);
    }
  }
}

TEST(RandomizedThreshold, NamesAGroupWithoutSamples) {
  const std::vector<double> scores = {0.5};
  const std::vector<int64_t> groups = {0};
  EXPECT_THROW(RandomizedThreshold(scores, groups, 2, 0.5, {}), DataError);
}

}  // namespace
}  // namespace vit22b::metrics
