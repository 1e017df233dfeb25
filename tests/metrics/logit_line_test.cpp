#include "metrics/logit_line.h"

#include <gtest/gtest.h>

#include <cmath>

namespace vit22b::metrics {
namespace {

double share_of(double log_odds) {
  return 1 / (1 + std::exp(-log_odds));
}

TEST(LogitLine, GoesThroughPointsOfALine) {
  std::vector<double> x, y;
  for (double odds = -2; odds < 3; odds += 0.5) {
    x.push_back(share_of(odds));
    y.push_back(share_of(0.7 * odds - 1.25));
  }
  const LogitLine line = fit_logit_line(x, y);
  EXPECT_EQ(line.num_points, 10);
  EXPECT_NEAR(line.slope, 0.7, 1e-12);
  EXPECT_NEAR(line.offset, -1.25, 1e-12);
  EXPECT_NEAR(line.at(0.5), share_of(-1.25), 1e-12);
}

// By the normal equations.
TEST(LogitLine, IsTheLeastSquaresOfScatteredPoints) {
  const std::vector<double> x = {0.61, 0.7, 0.75, 0.82, 0.9}, y = {0.2, 0.35, 0.3, 0.5, 0.6};
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = std::log(x[i] / (1 - x[i])), b = std::log(y[i] / (1 - y[i]));
    sx += a, sy += b, sxx += a * a, sxy += a * b;
  }
  const double slope = (5 * sxy - sx * sy) / (5 * sxx - sx * sx);
  const LogitLine line = fit_logit_line(x, y);
  EXPECT_NEAR(line.slope, slope, 1e-12);
  EXPECT_NEAR(line.offset, (sy - slope * sx) / 5, 1e-12);
}

TEST(LogitLine, LeavesOutWhatHasNoLogOdds) {
  const LogitLine line = fit_logit_line({0, 0.5, 0.6, 0.7, 1}, {0.1, 0.2, 1, 0.4, 0.5});
  EXPECT_EQ(line.num_points, 2);
  EXPECT_TRUE(std::isnan(line.at(1)));
  EXPECT_TRUE(std::isnan(fit_logit_line({}, {}).at(0.5)));
  EXPECT_TRUE(std::isnan(fit_logit_line({0.5, 0.5}, {0.2, 0.3}).at(0.5)));
}

}  // namespace
}  // namespace vit22b::metrics
