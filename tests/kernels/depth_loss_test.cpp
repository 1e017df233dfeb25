#include "kernels/depth_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>

namespace vit22b {
namespace {

at::Tensor row(const std::vector<float>& values) {
  return at::tensor(values).reshape({1, 1, -1});
}

double value(const at::Tensor& loss) {
  return loss.item<double>();
}

TEST(DepthLoss, Log1pIsTheMeanOverPicturesOfTheirOwnMeans) {
  const double a = std::log(3.0 / 2), b = std::log(5.0 / 2);
  EXPECT_NEAR(value(log1p_mse(row({2, 4, 9}), row({1, 1, 0}))), (a * a + b * b) / 2, 1e-6);
  // A second picture of one pixel counts as much as the first; one without truth as 0.
  const at::Tensor p = at::cat({row({2, 4}), row({2, 9}), row({7, 7})}),
                   d = at::cat({row({1, 1}), row({1, 0}), row({0, 0})});
  EXPECT_NEAR(value(log1p_mse(p, d)), ((a * a + b * b) / 2 + a * a) / 3, 1e-6);
}

TEST(DepthLoss, SigIsThatOfLogarithmsReckonedByHand) {
  const double eps = 0.001;
  const auto g = [&](double p, double d) { return std::log(p + eps) - std::log(d + eps); };
  const double g1 = g(2, 1), g2 = g(3, 4), g3 = g(1, 2), mean = (g1 + g2 + g3) / 3;
  const double variance =
      ((g1 - mean) * (g1 - mean) + (g2 - mean) * (g2 - mean) + (g3 - mean) * (g3 - mean)) / 2;
  EXPECT_NEAR(value(sig_loss(row({2, 3, 1, 5}), row({1, 4, 2, 0}))),
              std::sqrt(variance + 0.15 * mean * mean), 1e-5);
  EXPECT_EQ(value(sig_loss(row({2, 3}), row({0, 4}))), 0);  // one pixel has no variance
}

TEST(DepthLoss, OfGradientsSeesSlopesAtEveryScale) {
  // Every second pixel is off by a factor: at the first scale alone the slopes differ.
  const double slope = std::log(2.001) - std::log(1.001);
  EXPECT_NEAR(value(depth_gradient_loss(row({2, 1, 2, 1}), row({1, 1, 1, 1}))), slope * 3 / 4,
              1e-6);
  // A pair of which one has no truth has no slope.
  EXPECT_NEAR(value(depth_gradient_loss(row({2, 1, 2, 1}), row({1, 0, 1, 1}))), slope * 1 / 3,
              1e-6);
  // A common factor is none.
  EXPECT_NEAR(value(depth_gradient_loss(8 * at::ones({2, 9, 7}), at::ones({2, 9, 7}))), 0, 1e-6);
}

TEST(DepthLoss, SsiIsTheDistanceOfBothWithoutScaleAndShift) {
  // 1 / truth is 1, 2, 4, and p 3, 3, 8: medians 2 and 3, mean distances 1 and 5 / 3.
  const at::Tensor p = row({3, 3, 8, 100}), d = row({1, 0.5, 0.25, 0});
  const double slip = std::abs(0 - -1.0) + std::abs(0 - 0.0) + std::abs(3 - 2.0);
  EXPECT_NEAR(value(ssi_loss(p, d)), slip / 3, 1e-6);
  at::manual_seed(5);
  const at::Tensor near = at::rand({2, 6, 5}), truth = at::rand({2, 6, 5}) + 0.5;
  for (const auto loss : {ssi_loss, ssi_gradient_loss})
    EXPECT_NEAR(value(loss(7 * near + 3, truth)), value(loss(near, truth)), 1e-5);
  EXPECT_NEAR(value(ssi_loss(2 / truth + 1, truth)), 0, 1e-5);
}

using Loss = at::Tensor (*)(const at::Tensor&, const at::Tensor&);

TEST(DepthLoss, HasTheGradientOfItsDifferences) {
  const at::AutoGradMode is_recording(true);
  at::manual_seed(3);
  at::Tensor truth = at::rand({2, 5, 7}) + 0.5;
  truth.masked_fill_(at::rand({2, 5, 7}).lt(0.3), 0);
  for (const Loss loss :
       {&log1p_mse, &sig_loss, &depth_gradient_loss, &ssi_loss, &ssi_gradient_loss}) {
    const at::Tensor p = (at::rand({2, 5, 7}) + 0.5).requires_grad_();
    torch::autograd::backward({loss(p, truth)}, {at::ones({})});
    const at::Tensor direction = at::randn({2, 5, 7});
    const double step = 1e-3;
    const double difference = (value(loss(p.detach() + step * direction, truth)) -
                               value(loss(p.detach() - step * direction, truth))) /
                              (2 * step);
    EXPECT_NEAR((p.grad() * direction).sum().item<double>(), difference,
                0.01 * std::abs(difference) + 1e-3);
    // What has no truth has no gradient.
    EXPECT_EQ(p.grad().masked_select(truth.eq(0)).abs().max().item<float>(), 0);
  }
}

TEST(DepthLoss, OfPicturesWithoutTruthHasNoGradientThatIsNoNumber) {
  const at::AutoGradMode is_recording(true);
  for (const Loss loss :
       {&log1p_mse, &sig_loss, &depth_gradient_loss, &ssi_loss, &ssi_gradient_loss}) {
    const at::Tensor p = at::ones({2, 3, 3}).requires_grad_();
    torch::autograd::backward({loss(p, at::zeros({2, 3, 3}))}, {at::ones({})});
    EXPECT_EQ(p.grad().abs().max().item<float>(), 0);
    const at::Tensor q = at::ones({2, 3, 3}).requires_grad_();  // right everywhere
    torch::autograd::backward({loss(q, at::ones({2, 3, 3}))}, {at::ones({})});
    EXPECT_TRUE(q.grad().isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace vit22b
