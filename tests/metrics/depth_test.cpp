#include "metrics/depth.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/error.h"

namespace vit22b::metrics {
namespace {

std::map<std::string, double> named(const DepthSums& sums) {
  std::map<std::string, double> errors;
  const std::vector<Metric> metrics = depth_metrics();
  const std::vector<double> values = depth_errors(sums);
  EXPECT_EQ(metrics.size(), values.size());
  for (size_t i = 0; i < metrics.size(); ++i) errors[metrics[i].name] = values[i];
  return errors;
}

TEST(DepthErrors, AreThoseReckonedByHand) {
  // p / d = 2, 1/2, 1.2; the last has no truth.
  const DepthSums sums = sum_depth_errors(at::tensor({4.0, 2.0, 6.0, 9.0}).to(at::kFloat),
                                          at::tensor({2.0, 4.0, 5.0, 0.0}).to(at::kFloat));
  EXPECT_EQ(sums.pixels, 3);
  const auto e = named(sums);
  EXPECT_NEAR(e.at("abs_rel"), (1 + 0.5 + 0.2) / 3, 1e-12);
  EXPECT_NEAR(e.at("sq_rel"), (2 + 1 + 0.2) / 3, 1e-12);
  EXPECT_NEAR(e.at("rmse"), std::sqrt((4.0 + 4 + 1) / 3), 1e-12);
  const double l = std::log(2.0), s = std::log(1.2);
  EXPECT_NEAR(e.at("rmse_log"), std::sqrt((2 * l * l + s * s) / 3), 1e-12);
  EXPECT_NEAR(e.at("log10"), (2 * l + s) / 3 / std::log(10.0), 1e-12);
  // The two halves cancel in the mean of logarithms.
  EXPECT_NEAR(e.at("silog"), 100 * std::sqrt((2 * l * l + s * s) / 3 - s * s / 9), 1e-10);
  EXPECT_EQ(e.at("delta_1_1"), 0);
  EXPECT_NEAR(e.at("delta_1_25"), 1.0 / 3, 1e-12);
  EXPECT_NEAR(e.at("delta_1_25_2"), 1.0 / 3, 1e-12);
  EXPECT_NEAR(e.at("delta_1_25_3"), 1.0 / 3, 1e-12);  // 1.953 is below 2
  const double a = std::log(5.0 / 3), b = std::log(7.0 / 6);
  EXPECT_NEAR(e.at("mse_log"), (2 * a * a + b * b) / 3, 1e-12);
}

TEST(DepthErrors, OfTheTruthAreNone) {
  const at::Tensor truth = at::rand({7, 13}) + 0.5;
  const auto e = named(sum_depth_errors(truth, truth));
  for (const char* name : {"abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "mse_log"})
    EXPECT_EQ(e.at(name), 0) << name;
  for (const char* name : {"delta_1_1", "delta_1_25", "delta_1_25_2", "delta_1_25_3"})
    EXPECT_EQ(e.at(name), 1) << name;
}

TEST(DepthErrors, OfNoPixelsAreNoNumbers) {
  const at::Tensor none = at::zeros({3, 4});
  for (const double value : depth_errors(sum_depth_errors(none, none)))
    EXPECT_TRUE(std::isnan(value));
}

TEST(DepthErrors, OfPartsAddUpToThoseOfAll) {
  const at::Tensor p = at::rand({11, 6}) + 0.1, d = at::rand({11, 6}) + 0.1;
  DepthSums parts = sum_depth_errors(p.narrow(0, 0, 4), d.narrow(0, 0, 4));
  parts.add(sum_depth_errors(p.narrow(0, 4, 7), d.narrow(0, 4, 7)));
  const std::vector<double> a = depth_errors(parts), b = depth_errors(sum_depth_errors(p, d));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12 * std::abs(b[i]));
}

TEST(DepthErrors, OfScaledDepthsKeepSilog) {
  const at::Tensor p = at::rand({5, 5}) + 0.1, d = at::rand({5, 5}) + 0.1;
  EXPECT_NEAR(named(sum_depth_errors(p, d)).at("silog"),
              named(sum_depth_errors(8 * p, d)).at("silog"), 1e-9);  // 8: no rounding of float32
}

TEST(DepthErrors, RefuseWhatIsNoDepth) {
  const at::Tensor truth = at::ones({2});
  EXPECT_THROW(sum_depth_errors(at::tensor({1.0F, 0.0F}), truth), InternalError);
  EXPECT_THROW(sum_depth_errors(at::tensor({1.0F, NAN}), truth), InternalError);
  EXPECT_THROW(sum_depth_errors(at::ones({3}), truth), InternalError);
}

TEST(DepthAlignment, FindsPlantedScaleAndShift) {
  const at::Tensor x = at::rand({9, 9}) + 0.5;
  at::Tensor truth = 3 * x + 2;
  truth[0][0] = 0;  // was not measured
  const DepthAlignment both = scale_and_shift(x, truth);
  EXPECT_NEAR(both.scale, 3, 1e-5);
  EXPECT_NEAR(both.shift, 2, 1e-5);
  const DepthAlignment median = median_scale(x, 4 * x);
  EXPECT_NEAR(median.scale, 4, 1e-6);
  EXPECT_EQ(median.shift, 0);
}

TEST(DepthAlignment, OfOneNumberEverywhereIsNone) {
  EXPECT_TRUE(std::isnan(scale_and_shift(at::ones({4}), at::rand({4}) + 1).scale));
}

}  // namespace
}  // namespace vit22b::metrics
