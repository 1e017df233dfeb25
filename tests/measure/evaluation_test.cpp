#include "eval/evaluation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "dist/threads.h"
#include "eval/vit_predictor.h"
#include "measure/registry.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

Result classified(Predictor& predictor, const DataSource& source, const Transforms& transforms,
                  const EvalOptions& options) {
  Evaluators evaluators;
  evaluators.push_back(make_evaluator("classification", {}));
  return evaluate(predictor, source, transforms, options, evaluators).front();
}

/// The result but for its numbers, which ranks add in another order.
std::string counts(Result result) {
  result.numbers.clear();
  for (ResultTable& table : result.tables)
    if (table.name == "calibration")
      for (std::vector<Cell>& row : table.rows) row.resize(1);
  for (metrics::Example& example : result.examples) example.probability = 0;
  return result_json(result);
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
  const Result a = classified(*idx.predictor, *idx.source, idx.transforms, {.batch_size = 37});
  const Result b =
      classified(*idx.predictor, *idx.source, idx.transforms, {.batch_size = 5, .num_workers = 2});
  EXPECT_EQ(a.number("num_examples"), 37);
  EXPECT_EQ(counts(a), counts(b));
  EXPECT_NEAR(a.number("nll"), b.number("nll"), 1e-6 * a.number("nll"));
}

TEST(Evaluate, AnyNumberOfRanksCountsEverySampleOnce) {
  const IdxEvaluation idx(37, 4);
  const Result whole = classified(*idx.predictor, *idx.source, idx.transforms, {});
  // 40 ranks are more than the samples: some have none and take part all the same.
  for (const MeshShape shape :
       {MeshShape{2, 1}, MeshShape{3, 1}, MeshShape{2, 3}, MeshShape{40, 1}})
    run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
      const Mesh mesh = make_mesh(transport, shape, /*deadline_s=*/60);
      FunctionSource source(
          [&](const ParameterRow& row) { return idx.model.weights.at(row.name); });
      const auto store = std::make_shared<ResidentStore>(idx.model.table, source, c10::kCPU, mesh);
      VitPredictor predictor(idx.model.config, store, {.keeps_packed = false, .mesh = &mesh});
      const Result parts =
          classified(predictor, *idx.source, idx.transforms, {.batch_size = 4, .mesh = &mesh});
      EXPECT_EQ(parts.number("num_examples"), 37);
      EXPECT_EQ(counts(parts), counts(whole));
      EXPECT_NEAR(parts.number("nll"), whole.number("nll"), 1e-6 * whole.number("nll"));
      EXPECT_NEAR(parts.number("ece"), whole.number("ece"), 1e-6);
    });
}

TEST(Evaluate, LabelBeyondTheModelsClassesIsRefused) {
  const IdxEvaluation idx(8, 8);
  EXPECT_NE(test::error_of<DataError>([&] {
              classified(*idx.predictor, *idx.source, idx.transforms, {});
            }).find("label 5, but the model has 5 classes"),
            std::string::npos);
}

TEST(Evaluate, StopsBetweenBatches) {
  const IdxEvaluation idx(8, 4);
  EvalOptions options;
  options.watch.should_stop = [] { return true; };
  EXPECT_THROW(classified(*idx.predictor, *idx.source, idx.transforms, options), Stopped);
}

TEST(Evaluate, SeveralEvaluatorsSeeOnePassOfTheModel) {
  const IdxEvaluation idx(13, 4);
  Evaluators evaluators;
  for (const char* loss : {"sigmoid", "softmax"})
    evaluators.push_back(make_evaluator("classification", {loss}));
  const auto results =
      evaluate(*idx.predictor, *idx.source, idx.transforms, {.batch_size = 4}, evaluators);
  EXPECT_EQ(results[0].number("top1"), results[1].number("top1"));
  EXPECT_GT(results[0].number("loss"), results[1].number("loss"));
  EXPECT_NEAR(results[1].number("loss"), results[1].number("nll"), 1e-6);
}

/// A file as another tool would write it.
std::filesystem::path written(const test::TempFolder& folder, const at::Tensor& logits_NC,
                              const at::Tensor& labels_N,
                              const std::map<std::string, std::string>& metadata = {}) {
  FileOps ops;
  write_safetensors(ops, folder / "p.safetensors", {{"logits", logits_NC}, {"labels", labels_N}},
                    metadata);
  return folder / "p.safetensors";
}

TEST(Predictions, OfAFileAreWorthWhatTheModelsAre) {
  const IdxEvaluation idx(37, 4);
  const Result direct = classified(*idx.predictor, *idx.source, idx.transforms, {});
  std::vector<at::Tensor> logits;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < idx.source->size(); ++i) {
    Sample sample = idx.source->read(i);
    idx.transforms(sample, 0);
    const at::Tensor image_BCHW =
        sample.fields.at("image").value.permute({2, 0, 1}).unsqueeze(0).contiguous();
    logits.push_back(idx.predictor->logits(image_BCHW));
    labels.push_back(sample.label);
  }
  const Predictions predictions = read_predictions(
      written(idx.folder, at::cat(logits), at::tensor(labels, at::kLong).to(at::kInt)));
  EXPECT_EQ(predictions.num_classes, 5);
  for (const int64_t batch : {1, 10, 100}) {
    Evaluators evaluators;
    evaluators.push_back(make_evaluator("classification", {}));
    const Result read = evaluate(predictions, {.batch_size = batch}, evaluators).front();
    EXPECT_EQ(read.number("top1"), direct.number("top1"));
    EXPECT_NEAR(read.number("nll"), direct.number("nll"), 1e-6 * direct.number("nll"));
    EXPECT_EQ(read.number("num_examples"), 37);
  }
}

TEST(Predictions, ThatDoNotFitTogetherAreRefused) {
  const test::TempFolder folder;
  const auto refusal = [&](const at::Tensor& logits, const at::Tensor& labels,
                           const std::map<std::string, std::string>& metadata = {}) {
    return test::error_of<DataError>(
        [&] { read_predictions(written(folder, logits, labels, metadata)); });
  };
  const at::Tensor logits = at::zeros({3, 2}), labels = at::zeros({3}, at::kLong);
  EXPECT_NE(refusal(logits, labels.slice(0, 1)).find("want whole numbers [3]"), std::string::npos);
  // As other tools write them; a fraction is no label.
  EXPECT_EQ(refusal(logits, labels.to(at::kFloat)), "(nothing thrown)");
  EXPECT_NE(refusal(logits, labels + 0.5).find("labels are Float with values that are no whole"),
            std::string::npos);
  EXPECT_NE(refusal(logits.to(at::kLong), labels).find("logits are Long [3, 2]"),
            std::string::npos);
  EXPECT_NE(refusal(logits, labels, {{"paths", "[\"a\"]"}}).find("1 paths of 3 samples"),
            std::string::npos);
  EXPECT_NE(refusal(logits, labels, {{"logit_names", "[\"a\"]"}}).find("1 names of 2 classes"),
            std::string::npos);
  const Predictions other = read_predictions(written(folder, logits, labels + 2));
  Evaluators evaluators;
  evaluators.push_back(make_evaluator("classification", {}));
  EXPECT_EQ(test::error_of<DataError>([&] { evaluate(other, {}, evaluators); }),
            other.place + ": sample 0: label 2, but the logits are of 2 classes");
}

TEST(Predictions, LabelsWithNamesAreTheLogitsClassesOfThoseNames) {
  const test::TempFolder folder;
  const at::Tensor logits = at::eye(3), labels = at::tensor({0, 1, 1}, at::kLong);
  const std::string of_model = R"(["blue","green","red"])";
  const auto matched = [&](const std::string& of_data) {
    return read_predictions(written(folder, logits, labels,
                                    {{"logit_names", of_model}, {"label_names", of_data}}))
        .labels_N;
  };
  EXPECT_TRUE(at::equal(matched(R"(["green","red"])"), at::tensor({1, 2, 2}, at::kLong)));
  EXPECT_NE(test::error_of<DataError>([&] { matched(R"(["green","mauve"])"); }).find("mauve"),
            std::string::npos);
  EXPECT_NE(test::error_of<DataError>([&] { matched(R"(["green"])"); }).find("label_names"),
            std::string::npos);
}

TEST(Evaluators, AnUnknownNameNamesTheNearest) {
  EXPECT_EQ(test::error_of<UsageError>([] { make_evaluator("clasification", {}); }),
            "there is no evaluator 'clasification' (did you mean 'classification'?); there are "
            "classification, calibration, selective");
}

}  // namespace
}  // namespace vit22b
