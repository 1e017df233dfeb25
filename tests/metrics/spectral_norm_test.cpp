#include "metrics/spectral_norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vit22b::metrics {
namespace {

double by_svd(const at::Tensor& matrix) {
  return at::linalg_svdvals(matrix.to(at::kDouble))[0].item<double>();
}

TEST(SpectralNorm, IsTheLargestSingularValue) {
  for (const auto& [rows, columns] : {std::pair(1, 1), {1, 7}, {13, 1}, {5, 3}, {200, 311}}) {
    const at::Tensor matrix =
        at::randn({rows, columns}, at::detail::createCPUGenerator(rows), at::kFloat);
    EXPECT_NEAR(spectral_norm(matrix) / by_svd(matrix), 1, 2e-6) << rows;
  }
}

// Where power iteration would go back and forth between them for ever.
TEST(SpectralNorm, NeedsNoGapBetweenTheFirstTwo) {
  EXPECT_NEAR(spectral_norm(at::eye(6) * 3), 3, 1e-6);
  const at::Tensor close = at::diag(at::linspace(1, 1.001, 400).to(at::kFloat));
  EXPECT_NEAR(spectral_norm(close), 1.001, 2e-6);
}

TEST(SpectralNorm, FindsOneLargeDirection) {
  at::Tensor matrix = at::randn({64, 32}, at::detail::createCPUGenerator(5), at::kFloat) * 1e-3;
  matrix[40][3] = -100;
  EXPECT_NEAR(spectral_norm(matrix) / by_svd(matrix), 1, 2e-6);
}

TEST(SpectralNorm, OfZerosIsZeroAndOfNaNUndefined) {
  EXPECT_EQ(spectral_norm(at::zeros({4, 5})), 0);
  EXPECT_EQ(spectral_norm(at::zeros({0, 5})), 0);
  EXPECT_TRUE(std::isnan(spectral_norm(at::full({2, 2}, std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace vit22b::metrics
