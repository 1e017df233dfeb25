#include "measure/heads.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "eval/prediction_file.h"
#include "support/files.h"

namespace vit22b {
namespace {

using nlohmann::json;

/// [S, M].
at::Tensor draws(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<at::Tensor> tensors;
  for (const std::vector<int64_t>& row : rows) tensors.push_back(at::tensor(row, at::kLong));
  return at::stack(tensors);
}

HeadAnswers answers(const at::Tensor& labels_M, const std::map<int64_t, at::Tensor>& predicted) {
  return {"knn", labels_M, {}, 3, 10, "here", "test", {}, predicted};
}

TEST(HeadResult, OfOneFitHasAccuracyWilsonsIntervalAndClasses) {
  HeadAnswers said = answers(at::tensor({0, 0, 1, 1}, at::kLong), {{0, draws({{0, 1, 1, 1}})}});
  said.chosen = {{"recall_at.1", 0.75}, {"input", "mean"}};
  const Result result = head_result(said, {});
  // Wilson's interval of 3 in 4: (0.75 + z²/8 ± z √(0.1875/4 + z²/64)) / (1 + z²/4).
  EXPECT_EQ(result_text(result),
            "knn  accuracy 75.00 %  (95 %: 30.06 to 95.44)\n"
            "chosen: {\"recall_at\":{\"1\":0.75},\"input\":\"mean\"}\n");
  json found = json::parse(result_json(result));
  found.erase("confidence_interval");
  EXPECT_EQ(found, json::parse(R"({"method":"knn","split":"test","num_train":10,"num_test":4,
    "num_classes":3,"accuracy":0.75,
    "per_class":[{"label":"0","num_examples":2,"accuracy":0.5},
                 {"label":"1","num_examples":2,"accuracy":1.0},
                 {"label":"2","num_examples":0,"accuracy":null}],
    "chosen":{"recall_at":{"1":0.75},"input":"mean"}})"));
}

TEST(HeadResult, OfSeveralNeighboursHasAFieldForEach) {
  const at::Tensor labels = at::tensor({0, 1}, at::kLong);
  const Result result =
      head_result(answers(labels, {{1, draws({{0, 1}})}, {10, draws({{0, 0}})}}), {});
  EXPECT_EQ(result.number("accuracy.10"), 0.5);
  const json found = json::parse(result_json(result));
  EXPECT_EQ(found["accuracy"], json::parse(R"({"1":1.0,"10":0.5})"));
  EXPECT_EQ(found["per_class"]["10"][1]["accuracy"], 0);
  EXPECT_EQ(found["confidence_interval"]["1"][1], 1);
}

TEST(HeadResult, OfFoldsIsTheirMeanWithItsSpreadAndEachFoldsOwn) {
  HeadSets sets;
  sets.train = {at::zeros({5, 1}), at::tensor({0, 0, 1, 1, 2}, at::kLong), {}, "here"};
  sets.rows = {{at::tensor({0, 2, 4}, at::kLong), at::tensor({1, 3}, at::kLong)},
               {at::tensor({1, 3}, at::kLong), at::tensor({0, 2, 4}, at::kLong)}};
  std::vector<HeadAnswers> folds = {
      answers(at::tensor({0, 1}, at::kLong), {{0, draws({{0, 0}})}}),
      answers(at::tensor({0, 1, 2}, at::kLong), {{0, draws({{0, 1, 2}})}})};
  folds[1].chosen = {{"c", 0.5}};
  const HeadAnswers all = joined_answers(sets, folds);
  EXPECT_TRUE(all.labels_M.equal(sets.train.labels_N));
  EXPECT_TRUE(all.predicted.at(0).equal(draws({{0, 0, 1, 0, 2}})));
  EXPECT_EQ(all.num_train, 2);
  const Result result = head_result(all, {}, folds);
  EXPECT_EQ(result.number("accuracy"), 0.75);  // of 1/2 and 1, not 4/5
  const json found = json::parse(result_json(result));
  EXPECT_DOUBLE_EQ(found["spread"], std::sqrt(0.125));
  EXPECT_FALSE(found.contains("chosen"));
  ASSERT_EQ(found["folds"].size(), 2U);
  EXPECT_EQ(found["folds"][1]["chosen"]["c"], 0.5);
  EXPECT_EQ(found["folds"][0]["num_test"], 2);
  EXPECT_NE(result_text(result).find("  spread 35.36 % over 2 folds\n"
                                     "  fold 1: 50.00 %\n  fold 2: 100.00 %\n"),
            std::string::npos);
}

TEST(HeadResult, AgainstOtherPredictionsHasTheirMeanDifference) {
  const test::TempFolder folder;
  const std::string other = (folder / "other.safetensors").string();
  const at::Tensor labels = at::tensor({0, 1, 1, 2}, at::kLong);
  write_prediction_file(other, "knn", labels, {{5, draws({{0, 0, 0, 2}})}}, {});
  const HeadAnswers said = answers(labels, {{5, draws({{0, 1, 0, 2}})}});
  const Result result = head_result(said, {other});
  EXPECT_EQ(json::parse(result_json(result))["difference"]["5"]["mean"], 0.25);
  EXPECT_NE(result_text(result).find("  difference +25.00 %  (95 %: +0.00 to "), std::string::npos);
  const HeadAnswers twice = answers(labels, {{5, draws({{0, 1, 0, 2}, {0, 1, 0, 2}})}});
  EXPECT_EQ(test::error_of<DataError>([&] { head_result(twice, {other}); }),
            other + ": 1 draws, here 2; compare runs with the same options");
}

}  // namespace
}  // namespace vit22b
