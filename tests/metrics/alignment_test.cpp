#include "metrics/alignment.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace vit22b::metrics {
namespace {

at::Tensor drawn(int64_t seed, at::IntArrayRef sizes) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, generator);
}

double cka(const at::Tensor& x, const at::Tensor& y, int64_t batch) {
  LinearCka linear;
  for (int64_t i = 0; i < x.size(0); i += batch)
    linear.add(x.slice(0, i, i + batch), y.slice(0, i, i + batch));
  return linear.value();
}

TEST(LinearCka, SeesThroughTurnsScalesAndMoves) {
  const at::Tensor x = drawn(1, {200, 12});
  const at::Tensor turn = std::get<0>(at::linalg_qr(drawn(2, {12, 12}).to(at::kDouble)));
  const at::Tensor y = at::mm(x.to(at::kDouble), turn) * 3 + 1000;
  EXPECT_NEAR(cka(x, y, 7), 1, 1e-9);
  EXPECT_NEAR(cka(x, y, 200), cka(x, y, 7), 1e-9);
  EXPECT_NEAR(cka(x, drawn(3, {200, 5}), 50), cka(drawn(3, {200, 5}), x, 50), 1e-12);
}

TEST(LinearCka, IsNearNothingForUnlikeFeatures) {
  EXPECT_LT(cka(drawn(4, {5000, 6}), drawn(5, {5000, 9}), 500), 0.01);
}

TEST(LinearCka, IsUndefinedOfWhatDoesNotVary) {
  EXPECT_TRUE(std::isnan(LinearCka().value()));
  EXPECT_TRUE(std::isnan(cka(at::ones({5, 3}), drawn(6, {5, 3}), 2)));
}

/// Song et al. 2012, equation 4, as it stands, on kernels.
double by_kernels(const at::Tensor& x, const at::Tensor& y) {
  const auto n = static_cast<double>(x.size(0));
  const auto kernel = [](const at::Tensor& rows) {
    at::Tensor k = rows.to(at::kDouble).mm(rows.to(at::kDouble).t());
    k.fill_diagonal_(0);
    return k;
  };
  const auto dependence = [&](const at::Tensor& k, const at::Tensor& l) {
    return ((k * l).sum() + k.sum() * l.sum() / ((n - 1) * (n - 2)) -
            2 * k.sum(0).dot(l.sum(0)) / (n - 2))
        .item<double>();
  };
  const at::Tensor k = kernel(x), l = kernel(y);
  return dependence(k, l) / std::sqrt(dependence(k, k) * dependence(l, l));
}

double unbiased(const at::Tensor& x, const at::Tensor& y) {
  return unbiased_cka(CkaLayer(x), CkaLayer(y));
}

TEST(UnbiasedCka, IsTheEquationOnKernels) {
  // Fewer samples than features on both sides, on one, on none.
  for (const auto& [samples, width, other] : {std::tuple{9, 20, 31}, {30, 20, 40}, {50, 7, 11}}) {
    const at::Tensor x = drawn(1, {samples, width}) + 3,
                     y = at::cat({x.slice(1, 0, 5), drawn(2, {samples, other - 5})}, 1);
    EXPECT_NEAR(unbiased(x, y), by_kernels(x, y), 1e-10) << samples;
  }
}

TEST(UnbiasedCka, SeesThroughTurnsScalesAndMoves) {
  const at::Tensor x = drawn(1, {40, 12}).to(at::kDouble);
  const at::Tensor turn = std::get<0>(at::linalg_qr(drawn(2, {12, 12}).to(at::kDouble)));
  EXPECT_NEAR(unbiased(x, at::mm(x, turn) * 3 + 1000), 1, 1e-9);
}

TEST(UnbiasedCka, IsNearNothingForUnlikeFeaturesOfFewSamples) {
  const at::Tensor x = drawn(4, {60, 300}), y = drawn(5, {60, 300});
  EXPECT_GT(cka(x, y, 60), 0.7);
  EXPECT_LT(std::abs(unbiased(x, y)), 0.1);
}

TEST(UnbiasedCka, IsUndefinedOfThreeSamplesAndOfWhatDoesNotVary) {
  EXPECT_TRUE(std::isnan(unbiased(drawn(6, {3, 5}), drawn(7, {3, 5}))));
  EXPECT_TRUE(std::isnan(unbiased(at::ones({8, 3}), drawn(6, {8, 3}))));
}

TEST(RowCosines, AreOfEachRow) {
  const at::Tensor cosines = row_cosines(at::tensor({3.0, 4.0, 0.0, 0.0}).view({2, 2}),
                                         at::tensor({4.0, 3.0, 1.0, 1.0}).view({2, 2}));
  EXPECT_NEAR(cosines[0].item<double>(), 0.96, 1e-12);
  EXPECT_TRUE(std::isnan(cosines[1].item<double>()));
}

}  // namespace
}  // namespace vit22b::metrics
