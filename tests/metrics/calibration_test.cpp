#include "metrics/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/rng.h"

namespace vit22b::metrics {
namespace {

// Answers that are right as often as they say.
std::vector<Judged> calibrated(size_t count, uint64_t seed) {
  const CounterRng rng(seed, "test", "calibrated");
  std::vector<Judged> answers;
  for (size_t i = 0; i < count; ++i) {
    const double confidence = 0.2 + 0.8 * static_cast<double>(rng.uniform(2 * i));
    answers.push_back(
        {confidence, static_cast<double>(rng.uniform(2 * i + 1)) < confidence ? 1.0 : 0.0});
  }
  return answers;
}

TEST(Calibration, EqualAnswersShareTheirRightOnes) {
  const auto sorted = by_confidence({{0.9, 1}, {0.5, 0}, {0.9, 0}, {0.9, 1}});
  ASSERT_EQ(sorted.size(), 4U);
  EXPECT_EQ(sorted[0].confidence, 0.5);
  for (size_t i = 1; i < 4; ++i) EXPECT_DOUBLE_EQ(sorted[i].right, 2.0 / 3);
}

// Five answers in two bins of equal mass: two and three.
TEST(Calibration, EqualMassBinsMatchAHandComputedCase) {
  const auto bins =
      equal_mass_bins(by_confidence({{0.1, 0}, {0.3, 1}, {0.5, 0}, {0.7, 1}, {0.9, 1}}), 2);
  ASSERT_EQ(bins.size(), 2U);
  EXPECT_EQ(bins[0].count, 2);
  EXPECT_DOUBLE_EQ(bins[0].accuracy, 0.5);
  EXPECT_DOUBLE_EQ(bins[0].confidence, 0.2);
  EXPECT_EQ(bins[1].count, 3);
  EXPECT_NEAR(bins[1].accuracy, 2.0 / 3, 1e-15);
  EXPECT_NEAR(expected_calibration_error(bins), (2 * 0.3 + 3 * (0.7 - 2.0 / 3)) / 5, 1e-15);
}

TEST(Calibration, MoreBinsThanAnswersAreMostlyEmpty) {
  const auto bins = equal_mass_bins(by_confidence({{0.4, 1}, {0.8, 0}}), 100);
  int64_t count = 0;
  for (const CalibrationBin& bin : bins) count += bin.count;
  EXPECT_EQ(count, 2);
  EXPECT_NEAR(expected_calibration_error(bins), (0.6 + 0.8) / 2, 1e-15);
}

// Two bins of surer answers that are worse are one too many; of surer ones that are better there
// can be as many as answers.
TEST(Calibration, TheSweepStopsWhereAccuracyFalls) {
  const auto falling = by_confidence({{0.2, 1}, {0.4, 1}, {0.6, 0}, {0.8, 0}});
  EXPECT_EQ(sweep_calibration_error(falling).num_bins, 1);
  EXPECT_NEAR(sweep_calibration_error(falling).error, 0, 1e-15);
  const auto rising = by_confidence({{0.2, 0}, {0.4, 0}, {0.6, 1}, {0.8, 1}});
  EXPECT_EQ(sweep_calibration_error(rising).num_bins, 4);
  EXPECT_NEAR(sweep_calibration_error(rising).error, (0.2 + 0.4 + 0.4 + 0.2) / 4, 1e-15);
}

TEST(Calibration, PerfectCalibrationReadsTheFloor) {
  for (const size_t count : {300U, 3000U}) {
    const auto sorted = by_confidence(calibrated(count, count));
    const PerfectCalibration perfect = perfect_calibration(sorted, 15, 100, 1);
    for (const auto& [floor, error] :
         {std::pair{perfect.equal_width, expected_calibration_error(equal_width_bins(sorted, 15))},
          std::pair{perfect.equal_mass,
                    expected_calibration_error(equal_mass_bins(sorted, 100))}}) {
      EXPECT_GT(floor.mean, 0);
      EXPECT_GE(error, floor.range.low * 0.8);
      EXPECT_LE(error, floor.range.high * 1.2);
    }
  }
}

// Mean |accuracy - p| of n draws with deviation s is s sqrt(2 / pi): one bin of 2,500 answers at
// 0.5 gives 0.01 x 0.798.
TEST(Calibration, TheFloorIsThatOfABinomial) {
  const std::vector<Judged> answers(2500, {0.5, 1});
  const PerfectCalibration perfect = perfect_calibration(answers, 15, 1, 3);
  EXPECT_NEAR(perfect.equal_width.mean, 0.01 * std::sqrt(2 / M_PI), 0.0012);
  EXPECT_NEAR(perfect.bands[7].low, 0.5 - 0.0196, 0.003);
  EXPECT_NEAR(perfect.bands[7].high, 0.5 + 0.0196, 0.003);
  EXPECT_TRUE(std::isnan(perfect.bands[0].low));
}

// A thousand answers of one confidence are one answer as far as equal-mass bins go: so is their
// floor.
TEST(Calibration, TheFloorSharesAmongEqualsAsTheErrorDoes) {
  const std::vector<Judged> answers(1000, {0.6, 0.6});
  const PerfectCalibration perfect = perfect_calibration(by_confidence(answers), 15, 100, 4);
  EXPECT_NEAR(perfect.equal_mass.mean, perfect.equal_width.mean, 1e-12);
  EXPECT_LT(perfect.equal_mass.mean, 0.02);
}

TEST(Calibration, OfNoAnswersIsUndefined) {
  EXPECT_TRUE(std::isnan(expected_calibration_error(equal_mass_bins({}, 3))));
}

}  // namespace
}  // namespace vit22b::metrics
