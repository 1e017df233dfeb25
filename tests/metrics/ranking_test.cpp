#include "metrics/ranking.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"

namespace vit22b::metrics {
namespace {

using Scores = std::vector<double>;

// Positives 3, 1; negatives 2, 1, 0: of six pairs 3 > 2, 1, 0 and 1 > 0 are right, 1 = 1 is half.
TEST(Ranking, CountsPairsAndHalvesTies) {
  const Ranking ranking(Scores{3, 1}, Scores{2, 1, 0});
  EXPECT_DOUBLE_EQ(ranking.auroc(), 4.5 / 6);
  // The first positive is first: precision 1. The second shares its place with a negative behind
  // two: 2 of 4.
  EXPECT_DOUBLE_EQ(ranking.average_precision(), (1 + 2.0 / 4) / 2);
  EXPECT_DOUBLE_EQ(ranking.false_positive_rate(0.5), 0);
  EXPECT_DOUBLE_EQ(ranking.false_positive_rate(0.95), 2.0 / 3);
}

TEST(Ranking, OfEqualScoresIsNoBetterThanChance) {
  const Ranking ranking(Scores(7, 0.5), Scores(5, 0.5));
  EXPECT_DOUBLE_EQ(ranking.auroc(), 0.5);
  EXPECT_DOUBLE_EQ(ranking.average_precision(), 7.0 / 12);
  EXPECT_DOUBLE_EQ(ranking.false_positive_rate(0.95), 1);
}

TEST(Ranking, OfOneKindAloneIsUndefined) {
  EXPECT_TRUE(std::isnan(Ranking(Scores{1}, Scores{}).auroc()));
  EXPECT_TRUE(std::isnan(Ranking(Scores{}, Scores{1}).average_precision()));
  EXPECT_TRUE(std::isnan(Ranking(Scores{1}, Scores{}).auroc_interval(0).low));
  EXPECT_TRUE(std::isnan(Ranking(Scores{1}, Scores{}).false_positive_rate(0.95)));
}

TEST(Ranking, DoesNotDependOnTheOrderOfSamples) {
  const Ranking one(Scores{1, 2, 2, 5}, Scores{2, 0, 1}),
      other(Scores{2, 5, 1, 2}, Scores{1, 2, 0});
  EXPECT_EQ(one.auroc(), other.auroc());
  EXPECT_EQ(one.average_precision(), other.average_precision());
}

// Normal scores one deviation apart: the area is Phi(1 / sqrt 2) = 0.76025. Of 400 simulations with
// 250 of either kind 95 % +- 3 % of the intervals shall hold it: three deviations of that share.
TEST(Ranking, IntervalsHoldTheTrueAreaAsOftenAsTheySay) {
  constexpr double kTrue = 0.7602499389065233;
  constexpr int kSimulations = 400, kEach = 250;
  const CounterRng rng(7, "test", "auroc");
  int held = 0;
  for (int s = 0; s < kSimulations; ++s) {
    std::vector<float> normal(2 * kEach);
    rng.fill_normal(normal, static_cast<uint64_t>(s) * normal.size());
    Scores positives, negatives;
    for (int i = 0; i < kEach; ++i) {
      positives.push_back(1.0 + static_cast<double>(normal[static_cast<size_t>(i)]));
      negatives.push_back(static_cast<double>(normal[static_cast<size_t>(kEach + i)]));
    }
    const Interval interval =
        Ranking(positives, negatives).auroc_interval(static_cast<uint64_t>(s));
    held += interval.low <= kTrue && kTrue <= interval.high ? 1 : 0;
  }
  EXPECT_NEAR(held / static_cast<double>(kSimulations), 0.95, 0.033);
}

}  // namespace
}  // namespace vit22b::metrics
