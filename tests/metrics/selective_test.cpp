#include "metrics/selective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "metrics/ranking.h"

namespace vit22b::metrics {
namespace {

// From the surest on: right, wrong, right, wrong. Risks 0, 1/2, 1/3, 1/2.
std::vector<Judged> four() {
  return by_confidence({{0.9, 1}, {0.8, 0}, {0.7, 1}, {0.6, 0}});
}

TEST(Selective, MatchesAHandComputedCase) {
  EXPECT_NEAR(area_under_risk_coverage(four()), (0.5 + 1.0 / 3 + 0.5) / 4, 1e-15);
  // Wrong ones last: 0, 0, 1/3, 1/2.
  EXPECT_NEAR(excess_area_under_risk_coverage(four()), 0.5 / 4, 1e-15);
  EXPECT_DOUBLE_EQ(selective_accuracy(four(), 0.25), 1);
  EXPECT_DOUBLE_EQ(selective_accuracy(four(), 0.26), 0.5);
  EXPECT_DOUBLE_EQ(selective_accuracy(four(), 1), 0.5);
  const auto curve = risk_coverage_curve(four(), 2);
  ASSERT_EQ(curve.size(), 2U);
  EXPECT_DOUBLE_EQ(curve[0].coverage, 0.5);
  EXPECT_DOUBLE_EQ(curve[0].risk, 0.5);
}

TEST(Selective, ABestOrderHasNoExcess) {
  const auto best = by_confidence({{0.9, 1}, {0.8, 1}, {0.7, 1}, {0.6, 0}, {0.5, 0}});
  EXPECT_NEAR(excess_area_under_risk_coverage(best), 0, 1e-15);
}

// Equal confidences have no order: every coverage has the same risk.
TEST(Selective, TiesShareTheirErrors) {
  const auto tied = by_confidence({{0.5, 1}, {0.5, 0}, {0.5, 1}, {0.5, 1}});
  EXPECT_NEAR(area_under_risk_coverage(tied), 0.25, 1e-15);
  EXPECT_NEAR(selective_accuracy(tied, 0.25), 0.75, 1e-15);
}

// Without anything sent to the oracle, and thresholds between all confidences, it is the plain
// area.
TEST(Selective, WithoutAnOracleItsAreaIsTheRankings) {
  std::vector<Judged> answers;
  std::vector<double> right, wrong;
  for (int i = 0; i < 100; ++i) {
    const double confidence = 0.0025 + i / 100.0;
    const bool is_right = i % 3 != 0 && (i > 30 || i % 2 == 0);
    answers.push_back({confidence, is_right ? 1.0 : 0.0});
    (is_right ? right : wrong).push_back(confidence);
  }
  const auto sorted = by_confidence(answers);
  EXPECT_NEAR(oracle_collaborative_auc(sorted, 0), Ranking(right, wrong).auroc(), 1e-12);
  EXPECT_GT(oracle_collaborative_auc(sorted, 0.05), oracle_collaborative_auc(sorted, 0.01));
}

TEST(Selective, OfAnswersThatAreAllRightTheOraclesAreaIsUndefined) {
  EXPECT_TRUE(std::isnan(oracle_collaborative_auc(by_confidence({{0.9, 1}, {0.4, 1}}), 0.05)));
  EXPECT_EQ(area_under_risk_coverage(by_confidence({{0.9, 1}, {0.4, 1}})), 0);
  EXPECT_TRUE(std::isnan(area_under_risk_coverage({})));
}

}  // namespace
}  // namespace vit22b::metrics
