#include "metrics/agreement.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"

namespace vit22b::metrics {
namespace {

// Both right 2 of 5, both wrong 1: observed 0.6; accuracies 0.6 and 0.6: expected 0.52.
TEST(ErrorConsistency, MatchesAHandComputedCase) {
  const ErrorConsistency found =
      error_consistency({true, true, true, false, false}, {true, true, false, true, false});
  EXPECT_DOUBLE_EQ(found.observed, 0.6);
  EXPECT_DOUBLE_EQ(found.expected, 0.52);
  EXPECT_NEAR(found.kappa, 0.08 / 0.48, 1e-15);
}

TEST(ErrorConsistency, OfObserversThatAlwaysAgreeIsOne) {
  EXPECT_EQ(error_consistency({true, true}, {true, true}).kappa, 1);
  EXPECT_EQ(error_consistency({true, false}, {true, false}).kappa, 1);
  EXPECT_TRUE(std::isnan(error_consistency({}, {}).kappa));
}

// Whatever their accuracies, observers that know nothing of each other have a kappa of nothing:
// 20,000 images leave a deviation of 0.007.
TEST(ErrorConsistency, OfARandomObserverIsAboutNothing) {
  const CounterRng rng(0, "test", "observers");
  std::vector<bool> one, other;
  for (uint64_t i = 0; i < 20000; ++i) {
    one.push_back(rng.uniform(2 * i) < 0.8F);
    other.push_back(rng.uniform(2 * i + 1) < 0.3F);
  }
  EXPECT_NEAR(error_consistency(one, other).kappa, 0, 0.02);
}

TEST(CueAnswers, OfNeitherCueHaveNoBias) {
  EXPECT_TRUE(std::isnan((CueAnswers{0, 0, 7}).shape_bias()));
  EXPECT_DOUBLE_EQ((CueAnswers{3, 1, 7}).shape_bias(), 0.75);
}

TEST(Ranks, EqualValuesShareTheirPlaces) {
  const std::vector<double> values = {0.2, 0.5, 0.2, 0.1};
  EXPECT_EQ(ranks(values, false), (std::vector<double>{2.5, 4, 2.5, 1}));
  EXPECT_EQ(ranks(values, true), (std::vector<double>{2.5, 1, 2.5, 4}));
  const std::vector<double> some = {0.5, std::nan(""), 0.2};
  EXPECT_TRUE(std::isnan(ranks(some, false)[1]));
  EXPECT_EQ(ranks(some, false)[0], 2);
}

}  // namespace
}  // namespace vit22b::metrics
