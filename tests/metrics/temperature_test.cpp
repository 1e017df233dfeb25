#include "metrics/temperature.h"

#include <gtest/gtest.h>

namespace vit22b::metrics {
namespace {

// Labels drawn from softmax(logits / 2): the temperature that fits them is 2.
TEST(Temperature, FindsTheOneThatLabelsWereDrawnAt) {
  at::manual_seed(3);
  const at::Tensor logits = 3 * at::randn({20000, 5});
  const at::Tensor labels = at::multinomial(at::softmax(logits / 2, 1), 1).squeeze(1);
  const Temperature fitted =
      fit_temperature([&](double beta) { return scaled_nll(logits, labels, beta); });
  EXPECT_TRUE(fitted.is_determined);
  EXPECT_NEAR(fitted.value, 2, 0.05);
  // There the slope is nothing, and to either side the loss is larger.
  const double beta = 1 / fitted.value, least = scaled_nll(logits, labels, beta).nll;
  EXPECT_NEAR(scaled_nll(logits, labels, beta).slope, 0, 1e-4);
  EXPECT_GT(scaled_nll(logits, labels, beta * 1.01).nll, least);
  EXPECT_GT(scaled_nll(logits, labels, beta / 1.01).nll, least);
}

TEST(Temperature, DerivativesAreThoseOfTheLoss) {
  at::manual_seed(4);
  const at::Tensor logits = at::randn({7, 3}),
                   labels = at::tensor({0, 1, 2, 0, 1, 2, 0}, at::kLong);
  constexpr double kStep = 1e-5, kBeta = 0.7;
  const ScaledNll here = scaled_nll(logits, labels, kBeta),
                  above = scaled_nll(logits, labels, kBeta + kStep),
                  below = scaled_nll(logits, labels, kBeta - kStep);
  EXPECT_NEAR(here.slope, (above.nll - below.nll) / (2 * kStep), 1e-8);
  EXPECT_NEAR(here.curvature, (above.slope - below.slope) / (2 * kStep), 1e-8);
}

TEST(Temperature, OfAnswersThatAreAllRightIsNotDetermined) {
  const at::Tensor logits = at::eye(4) * 3, labels = at::arange(4);
  const Temperature fitted =
      fit_temperature([&](double beta) { return scaled_nll(logits, labels, beta); });
  EXPECT_FALSE(fitted.is_determined);
  EXPECT_LT(fitted.value, 0.01);
}

TEST(Temperature, OfAnswersWorseThanChanceIsNotDetermined) {
  const at::Tensor logits = at::eye(4) * 3, labels = (at::arange(4) + 1).remainder(4);
  const Temperature fitted =
      fit_temperature([&](double beta) { return scaled_nll(logits, labels, beta); });
  EXPECT_FALSE(fitted.is_determined);
  EXPECT_GT(fitted.value, 100);
}

}  // namespace
}  // namespace vit22b::metrics
