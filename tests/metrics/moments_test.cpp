#include "metrics/moments.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vit22b::metrics {
namespace {

Moments of(const at::Tensor& values) {
  Moments moments;
  moments.add(values);
  return moments;
}

TEST(Moments, AreThoseOfFourValues) {
  const Moments moments = of(at::tensor({1.0, 2.0, 2.0, -4.0}));
  EXPECT_EQ(moments.count(), 4);
  EXPECT_DOUBLE_EQ(moments.mean(), 0.25);
  EXPECT_DOUBLE_EQ(moments.norm(), 5);
  EXPECT_DOUBLE_EQ(moments.largest(), 4);
  EXPECT_DOUBLE_EQ(moments.outlier_ratio(), 4 / 2.5);
  // Distances .75, 1.75, 1.75, -4.25 from the mean.
  EXPECT_NEAR(moments.kurtosis(), 4 * 345.328125 / (24.75 * 24.75), 1e-12);
}

TEST(Moments, OfPartsAreThoseOfTheWhole) {
  const at::Tensor x = at::randn({1001}, at::kDouble).exp() + 50;  // skewed, far from 0
  Moments parts;
  for (int64_t i = 0; i < 1001; i += 77) parts.add(x.slice(0, i, i + 77));
  const at::Tensor d = x - x.mean();
  const double kurtosis = (d.pow(4).mean() / d.square().mean().square()).item<double>();
  EXPECT_NEAR(parts.kurtosis(), kurtosis, 1e-10 * kurtosis);
  EXPECT_NEAR(parts.norm(), x.norm().item<double>(), 1e-9);
  Moments merged;
  merged.add(Moments());
  merged.add(of(x.slice(0, 0, 400)));
  merged.add(of(x.slice(0, 400)));
  EXPECT_NEAR(merged.kurtosis(), kurtosis, 1e-10 * kurtosis);
}

TEST(Moments, KurtosisOfANormalIsThree) {
  EXPECT_NEAR(of(at::randn({1 << 20}, at::detail::createCPUGenerator(1))).kurtosis(), 3, 0.05);
}

TEST(Moments, OfNothingAndOfWhatIsNotFiniteAreUndefined) {
  EXPECT_TRUE(std::isnan(Moments().norm()));
  EXPECT_TRUE(std::isnan(of(at::zeros({3})).outlier_ratio()));
  EXPECT_TRUE(std::isnan(of(at::ones({3})).kurtosis()));
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Moments moments = of(at::tensor({1.0F, bad, 2.0F}));
    EXPECT_TRUE(std::isnan(moments.norm()));
    EXPECT_TRUE(std::isnan(moments.largest()));
    EXPECT_TRUE(std::isnan(moments.outlier_ratio()));
    EXPECT_TRUE(std::isnan(moments.kurtosis()));
  }
}

}  // namespace
}  // namespace vit22b::metrics
