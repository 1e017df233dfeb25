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

TEST(RowCosines, AreOfEachRow) {
  const at::Tensor cosines = row_cosines(at::tensor({3.0, 4.0, 0.0, 0.0}).view({2, 2}),
                                         at::tensor({4.0, 3.0, 1.0, 1.0}).view({2, 2}));
  EXPECT_NEAR(cosines[0].item<double>(), 0.96, 1e-12);
  EXPECT_TRUE(std::isnan(cosines[1].item<double>()));
}

}  // namespace
}  // namespace vit22b::metrics
