#include "metrics/ranking.h"

#include <ATen/ATen.h>
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

/// How often intervals of normal scores one deviation apart hold the true area, Phi(1 / sqrt 2),
/// with 250 samples of either kind.
double coverage_of_auroc(int simulations) {
  constexpr double kTrue = 0.7602499389065233;
  constexpr int kEach = 250;
  const CounterRng rng(7, "test", "auroc");
  int held = 0;
  for (int s = 0; s < simulations; ++s) {
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
  return held / static_cast<double>(simulations);
}

// Three deviations of a share of 95 % among 400 are 3.3 %.
TEST(Ranking, IntervalsHoldTheTrueAreaAsOftenAsTheySay) {
  EXPECT_NEAR(coverage_of_auroc(400), 0.95, 0.033);
}

using SlowIntervals = testing::TestWithParam<int>;

TEST_P(SlowIntervals, HoldTheTrueAreaWithinTwoPercent) {
  EXPECT_NEAR(coverage_of_auroc(GetParam()), 0.95, 0.02);
}

// 500 answers of which 80 % are right.
TEST_P(SlowIntervals, HoldTheTrueAccuracyWithinTwoPercent) {
  constexpr double kTrue = 0.8;
  const CounterRng rng(8, "test", "accuracy");
  int held = 0;
  for (int s = 0; s < GetParam(); ++s) {
    at::Tensor right = at::empty({1, 500}, at::kFloat);
    rng.fill_uniform({right.mutable_data_ptr<float>(), 500}, static_cast<uint64_t>(s) * 500);
    const Interval interval =
        bootstrap_interval(right.lt(kTrue).to(at::kFloat), static_cast<uint64_t>(s));
    held += interval.low <= kTrue && kTrue <= interval.high ? 1 : 0;
  }
  EXPECT_NEAR(held / static_cast<double>(GetParam()), 0.95, 0.02);
}

INSTANTIATE_TEST_SUITE_P(Slow, SlowIntervals, testing::Values(2000));

}  // namespace
}  // namespace vit22b::metrics
