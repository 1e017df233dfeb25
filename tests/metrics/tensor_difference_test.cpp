#include "metrics/tensor_difference.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vit22b::metrics {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(),
                kInfinity = std::numeric_limits<float>::infinity();

TensorDifference between(const at::Tensor& first, const at::Tensor& second) {
  TensorDifference difference;
  difference.add(first, second);
  return difference;
}

TEST(TensorDifference, OneChangedElementIsFoundWithItsSize) {
  const at::Tensor a = at::tensor({3.0F, 4.0F, 0.0F});
  at::Tensor b = a.clone();
  b[1] = 3.5F;
  const TensorDifference d = between(a, b);
  EXPECT_EQ(d.num_different(), 1);
  EXPECT_EQ(d.num_values(), 3);
  EXPECT_DOUBLE_EQ(d.max_abs(), 0.5);
  EXPECT_DOUBLE_EQ(d.relative(), 0.5 / 5);
}

TEST(TensorDifference, AnotherDtypeOfEqualValuesIsEqual) {
  const at::Tensor a = at::arange(-8, 8).to(at::kFloat) / 4;
  EXPECT_TRUE(between(a, a.to(at::kBFloat16)).is_equal());
  EXPECT_TRUE(between(a.to(at::kHalf), a.to(at::kBFloat16)).is_equal());
  EXPECT_FALSE(between(a + 1e-3, (a + 1e-3).to(at::kBFloat16)).is_equal());
}

TEST(TensorDifference, ANaNInBothIsNoDifference) {
  const at::Tensor a = at::tensor({1.0F, kNaN});
  EXPECT_TRUE(between(a, a.clone()).is_equal());
}

TEST(TensorDifference, ANaNInOneIsCountedAndHasNoSize) {
  const TensorDifference d =
      between(at::tensor({1.0F, kNaN, 2.0F}), at::tensor({1.0F, 5.0F, kNaN}));
  EXPECT_EQ(d.num_different(), 2);
  EXPECT_EQ(d.num_nan_first(), 1);
  EXPECT_EQ(d.num_nan_second(), 1);
  EXPECT_EQ(d.num_infinite(), 0);
  EXPECT_EQ(d.max_abs(), 0);
  EXPECT_EQ(d.relative(), 0);
}

TEST(TensorDifference, AnInfinityEqualsItselfAlone) {
  EXPECT_TRUE(between(at::tensor({kInfinity}), at::tensor({kInfinity})).is_equal());
  const TensorDifference d = between(at::tensor({kInfinity}), at::tensor({-kInfinity}));
  EXPECT_EQ(d.num_infinite(), 1);
  EXPECT_TRUE(std::isnan(d.max_abs()));
}

TEST(TensorDifference, BesideZerosItHasNoRelativeSize) {
  EXPECT_TRUE(std::isnan(between(at::zeros({3}), at::ones({3})).relative()));
  EXPECT_EQ(between(at::zeros({3}), at::zeros({3})).relative(), 0);
}

TEST(TensorDifference, PartsAreOneTensor) {
  const at::Tensor a = at::randn({5, 7}), b = at::randn({5, 7});
  TensorDifference parts;
  parts.add(a.slice(0, 0, 2), b.slice(0, 0, 2));
  parts.add(a.slice(0, 2), b.slice(0, 2));
  EXPECT_EQ(parts.num_values(), 35);
  EXPECT_NEAR(parts.relative(), between(a, b).relative(), 1e-14);
}

TEST(TensorDifference, OfNoValuesIsEqual) {
  EXPECT_TRUE(between(at::zeros({0, 4}), at::zeros({0, 4})).is_equal());
}

}  // namespace
}  // namespace vit22b::metrics
