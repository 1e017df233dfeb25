#include <gtest/gtest.h>

#include "core/error.h"
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
    ViTConfig config = test::tiny_config();
    config.img_size = {16, 16};
    config.in_chans = 1;
    predictor = tiny_predictor(config);
    source = open_source(folder.path().string(), "test");
  }

  test::TempFolder folder;
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
  EXPECT_EQ(a.confusion, b.confusion);
  EXPECT_NEAR(a.nll, b.nll, 1e-6 * a.nll);
}

/// Two ranks whose other half is a recorded sum: what one adds, the other has kept.
class HalfRank : public Communicator {
 public:
  HalfRank(int64_t rank, at::Tensor& kept) : rank_(rank), kept_(kept) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return 2; }
  void all_reduce_sum_(at::Tensor& tensor) override {
    if (kept_.defined()) tensor.add_(kept_);
    kept_ = tensor.clone();
  }
  void all_reduce_max_(at::Tensor&) override {}
  std::string broadcast(const std::string& text, int64_t) override { return text; }
  void barrier() override {}

 private:
  int64_t rank_;
  at::Tensor& kept_;
};

TEST(Evaluate, TwoRanksCountEverySampleOnce) {
  const IdxEvaluation idx(37, 4);
  const ClassificationResult whole =
      evaluate_classification(*idx.predictor, *idx.source, idx.transforms, {});
  at::Tensor kept;
  ClassificationResult halves;
  for (const int64_t rank : {0, 1}) {
    const Mesh mesh(std::make_unique<HalfRank>(rank, kept), std::make_unique<SelfCommunicator>(),
                    std::make_unique<SelfCommunicator>());
    halves = evaluate_classification(*idx.predictor, *idx.source, idx.transforms,
                                     {.batch_size = 4, .mesh = &mesh});
  }
  EXPECT_EQ(halves.num_examples, 37);
  EXPECT_EQ(halves.confusion, whole.confusion);
  EXPECT_NEAR(halves.nll, whole.nll, 1e-6 * whole.nll);
  EXPECT_NEAR(halves.ece, whole.ece, 1e-6);
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
