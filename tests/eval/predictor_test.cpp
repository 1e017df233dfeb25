#include <gtest/gtest.h>

#include "core/error.h"
#include "eval/vit_predictor.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

std::unique_ptr<VitPredictor> tiny_predictor(const ViTConfig& config) {
  const test::TinyModel model(config);
  return std::make_unique<VitPredictor>(config, model.store, PredictorOptions{});
}

TEST(VitPredictor, InputGradientMatchesDifferences) {
  const auto predictor = tiny_predictor(test::tiny_config());
  const at::Tensor images = at::randn({2, 3, 8, 16}), weights_BC = at::randn({2, 5});
  const at::Tensor gradient = predictor->input_gradient(images, weights_BC);
  const auto value = [&](double step) {
    return (predictor->logits(images + gradient / gradient.norm() * step) * weights_BC)
        .sum()
        .item<double>();
  };
  EXPECT_NEAR((value(4e-3) - value(-4e-3)) / 8e-3, gradient.norm().item<double>(),
              1e-2 * gradient.norm().item<double>());
}

TEST(VitPredictor, AttentionRowsSumToOne) {
  const at::Tensor weights =
      tiny_predictor(test::tiny_config())->attention(at::randn({2, 3, 8, 16}), 1);
  EXPECT_EQ(weights.sizes(), (at::IntArrayRef{2, 3, 8, 8}));
  EXPECT_TRUE(at::allclose(weights.sum(-1), at::ones({2, 3, 8})));
}

TEST(VitPredictor, WhatAModelLacksIsAnErrorByName) {
  ViTConfig headless = test::tiny_config();
  headless.num_classes = 0;
  const auto predictor = tiny_predictor(headless);
  const at::Tensor images = at::randn({1, 3, 8, 16});
  EXPECT_FALSE(predictor->features(images, {}).logits_BC.defined());
  EXPECT_NE(
      test::error_of<CheckpointError>([&] { predictor->logits(images); }).find("no classifier"),
      std::string::npos);
  EXPECT_NE(
      test::error_of<UsageError>([&] { predictor->features(images, {3}); }).find("blocks 0 to 2"),
      std::string::npos);
}

}  // namespace
}  // namespace vit22b
