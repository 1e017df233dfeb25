#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/threads.h"
#include "eval/classification.h"
#include "eval/vit_predictor.h"
#include "support/datasets.h"
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

/// A generated idx split and a small model that takes its images.
struct IdxEvaluation {
  IdxEvaluation(int count, int classes) {
    test::write_idx(folder.path(), "test", count, classes, 16);
    predictor = std::make_unique<VitPredictor>(model.config, model.store, PredictorOptions{});
    source = open_source(folder.path().string(), "test");
  }

  static ViTConfig config_of_grey_squares() {
    ViTConfig config = test::tiny_config();
    config.img_size = {16, 16};
    config.in_chans = 1;
    return config;
  }

  test::TempFolder folder;
  test::TinyModel model{config_of_grey_squares()};
  std::unique_ptr<VitPredictor> predictor;
  std::unique_ptr<DataSource> source;
  Transforms transforms{"value_range(-1,1)"};
};

TEST(Evaluate, BatchSizeDoesNotChangeTheResult) {
  const IdxEvaluation idx(37, 4);
  const ClassificationResult a =
      evaluate_classification(*idx.predictor, *idx.source, idx.transforms, {.batch_size = 37});
  const ClassificationResult b = evaluate_classification(
      *idx.predictor, *idx.source, idx.transforms, {.batch_size = 5, .num_workers = 2});
  EXPECT_EQ(a.num_examples, 37);
  EXPECT_TRUE(a.confusion == b.confusion);
  EXPECT_NEAR(a.nll, b.nll, 1e-6 * a.nll);
}

TEST(Evaluate, AnyNumberOfRanksCountsEverySampleOnce) {
  const IdxEvaluation idx(37, 4);
  const ClassificationResult whole =
      evaluate_classification(*idx.predictor, *idx.source, idx.transforms, {});
  // 40 ranks are more than the samples: some have none and take part all the same.
  for (const MeshShape shape :
       {MeshShape{2, 1}, MeshShape{3, 1}, MeshShape{2, 3}, MeshShape{40, 1}})
    run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
      const Mesh mesh = make_mesh(transport, shape, /*deadline_s=*/60);
      FunctionSource source(
          [&](const ParameterRow& row) { return idx.model.weights.at(row.name); });
      const auto store = std::make_shared<ResidentStore>(idx.model.table, source, c10::kCPU, mesh);
      VitPredictor predictor(idx.model.config, store, {.keeps_packed = false, .mesh = &mesh});
      const ClassificationResult parts = evaluate_classification(
          predictor, *idx.source, idx.transforms, {.batch_size = 4, .mesh = &mesh});
      EXPECT_EQ(parts.num_examples, 37);
      EXPECT_TRUE(parts.confusion == whole.confusion);
      EXPECT_NEAR(parts.nll, whole.nll, 1e-6 * whole.nll);
      EXPECT_NEAR(parts.ece, whole.ece, 1e-6);
    });
}

TEST(Evaluate, LabelBeyondTheModelsClassesIsRefused) {
  const IdxEvaluation idx(8, 8);
  EXPECT_NE(test::error_of<DataError>([&] {
              evaluate_classification(*idx.predictor, *idx.source, idx.transforms, {});
            }).find("label 5, but the model has 5 classes"),
            std::string::npos);
}

TEST(Evaluate, StopsBetweenBatches) {
  const IdxEvaluation idx(8, 4);
  EvalOptions options;
  options.should_stop = [] { return true; };
  EXPECT_THROW(evaluate_classification(*idx.predictor, *idx.source, idx.transforms, options),
               Stopped);
}

}  // namespace
}  // namespace vit22b
