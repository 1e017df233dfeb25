#include "metrics/interval.h"

#include <gtest/gtest.h>

namespace vit22b::metrics {
namespace {

// Wilson 1927 by hand: p = 0.8, n = 10, z = 1.96 gives 0.4902 to 0.9433.
TEST(WilsonInterval, MatchesAHandComputedCase) {
  const Interval interval = wilson_interval(8, 10);
  EXPECT_NEAR(interval.low, 0.4902, 1e-4);
  EXPECT_NEAR(interval.high, 0.9433, 1e-4);
}

TEST(WilsonInterval, StaysInsideZeroAndOne) {
  EXPECT_EQ(wilson_interval(0, 7).low, 0);
  EXPECT_EQ(wilson_interval(7, 7).high, 1);
  EXPECT_TRUE(std::isnan(wilson_interval(0, 0).low));
}

TEST(BootstrapInterval, HasTheWidthOfANormalMean) {
  at::manual_seed(1);
  const at::Tensor values = at::randn({1, 400}, at::kDouble) + 3;
  const Interval interval = bootstrap_interval(values, 0);
  const double deviation = values.std().item<double>() / 20, mean = values.mean().item<double>();
  // 2,000 resamples place a 2.5 % quantile within about 6 % of a deviation.
  EXPECT_NEAR(interval.low, mean - 1.96 * deviation, 0.2 * deviation);
  EXPECT_NEAR(interval.high, mean + 1.96 * deviation, 0.2 * deviation);
}

// Two runs that differ by one everywhere: samples alone would say nothing of it.
TEST(BootstrapInterval, SeesTheSpreadBetweenRuns) {
  const at::Tensor values = at::stack({at::zeros({50}), at::ones({50})});
  const Interval interval = bootstrap_interval(values, 0);
  EXPECT_EQ(interval.low, 0);
  EXPECT_EQ(interval.high, 1);
}

}  // namespace
}  // namespace vit22b::metrics
