#include "metrics/classification.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "metrics/calibration.h"

namespace vit22b::metrics {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

at::Tensor rows(std::initializer_list<float> values, int64_t classes) {
  return at::tensor(values).reshape({-1, classes});
}

using Counts = std::vector<std::vector<int64_t>>;

Confusion confusion_of(const at::Tensor& logits, const at::Tensor& labels) {
  Confusion confusion;
  for (const Answer& answer : answers_of(logits, labels)) confusion.add(answer);
  return confusion;
}

std::vector<CalibrationBin> bins_of(const at::Tensor& logits, const at::Tensor& labels) {
  std::vector<BinSums> sums(15);
  for (const Answer& answer : answers_of(logits, labels)) count_into(sums, answer);
  return calibration_bins(sums);
}

TEST(TopK, CountsLabelsAmongTheLargest) {
  const at::Tensor logits = rows({3, 2, 1, 1, 2, 3, 1, 3, 2}, 3),
                   labels = at::tensor({0, 1, 0}, at::kLong);
  EXPECT_DOUBLE_EQ(top_k_accuracy(answers_of(logits, labels), 1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(top_k_accuracy(answers_of(logits, labels), 2), 2.0 / 3);
  EXPECT_DOUBLE_EQ(top_k_accuracy(answers_of(logits, labels), 5), 1);
}

TEST(TopK, TiesGoToTheLowerIndex) {
  const at::Tensor logits = rows({1, 1, 1, 1}, 2);
  EXPECT_DOUBLE_EQ(top_k_accuracy(answers_of(logits, at::tensor({0, 1}, at::kLong)), 1), 0.5);
}

TEST(TopK, NoRowsAreUndefined) {
  EXPECT_TRUE(
      std::isnan(top_k_accuracy(answers_of(at::zeros({0, 3}), at::zeros({0}, at::kLong)), 1)));
}

// Neither a NaN of the label's class nor one of another is right.
TEST(TopK, ARowWithANanIsWrong) {
  const at::Tensor logits = rows({kNan, 1, 5, kNan, 5, 1}, 2);
  EXPECT_DOUBLE_EQ(top_k_accuracy(answers_of(logits, at::tensor({0, 0, 0}, at::kLong)), 1),
                   1.0 / 3);
  EXPECT_DOUBLE_EQ(top_k_accuracy(answers_of(logits, at::tensor({0, 0, 0}, at::kLong)), 5),
                   1.0 / 3);
}

TEST(Nll, OfUniformLogitsIsLnC) {
  EXPECT_NEAR(
      negative_log_likelihood(answers_of(at::zeros({4, 7}), at::tensor({0, 3, 6, 1}, at::kLong))),
      std::log(7.0), 1e-12);
}

TEST(Confusion, CountsTruthByPrediction) {
  const at::Tensor logits = rows({1, 0, 0, 1, 1, 0}, 2), labels = at::tensor({0, 0, 1}, at::kLong);
  EXPECT_EQ(confusion_of(logits, labels).matrix(2), (Counts{{1, 1}, {1, 0}}));
}

TEST(Confusion, LeavesRowsWithANanOut) {
  EXPECT_EQ(confusion_of(rows({kNan, 0, 1, 0}, 2), at::tensor({0, 0}, at::kLong)).matrix(2),
            (Counts{{1, 0}, {0, 0}}));
}

// 0 three times taken for 2 and once for 1, 1 once for 0 and once right.
TEST(Confusion, KnowsTheMostConfusedAndEachClass) {
  Confusion confusion;
  confusion.add({{0, 2}, 3});
  confusion.add({{1, 1}, 1});
  confusion.add({{1, 0}, 1});
  confusion.add({{0, 1}, 1});
  using Count = Confusion::Count;
  EXPECT_EQ(confusion.most_confused(2), (std::vector<Count>{{{0, 2}, 3}, {{0, 1}, 1}}));
  EXPECT_EQ(confusion.most_confused(9).size(), 3u);
  const Confusion::PerClass all = confusion.per_class(4);
  EXPECT_EQ(all.truths, (std::vector<int64_t>{4, 2, 0, 0}));
  EXPECT_EQ(all.predictions, (std::vector<int64_t>{1, 2, 3, 0}));
  EXPECT_EQ(all.right, (std::vector<int64_t>{0, 1, 0, 0}));
}

// Rows are worked on a few at a time: 350,000 classes are three.
TEST(Answers, OfManyClassesAreThoseOfEachRow) {
  constexpr int64_t kClasses = 350'000, kRows = 7;
  const at::Tensor labels = at::arange(kRows, at::kLong) * 40'000;
  at::Tensor logits = at::zeros({kRows, kClasses});
  for (int64_t i = 0; i < kRows; ++i) logits[i][i % 2 == 0 ? i * 40'000 : 1] = 20;
  const std::vector<Answer> answers = answers_of(logits, labels);
  ASSERT_EQ(answers.size(), 7u);
  for (size_t i = 0; i < 7; ++i) {
    const auto label = static_cast<int64_t>(i) * 40'000;
    EXPECT_EQ(answers[i].label, label);
    EXPECT_EQ(answers[i].prediction, i % 2 == 0 ? label : 1);
    EXPECT_EQ(answers[i].before, i % 2 == 0 ? 0 : label);  // equal ones with a lower index
    const double sum = std::exp(20.0) + kClasses - 1;
    // A sum of 350,000 terms is off by as many half units of the last place at most.
    EXPECT_NEAR(answers[i].confidence, std::exp(20.0) / sum, 4e-11);
    EXPECT_NEAR(answers[i].nll, std::log(sum) - (i % 2 == 0 ? 20 : 0), 1e-9);
  }
}

TEST(Ece, ARowWithANanIsWrongWithoutConfidence) {
  const auto bins = bins_of(rows({kNan, 0, 1000, 0}, 2), at::tensor({0, 0}, at::kLong));
  EXPECT_EQ(bins[0].count, 1);
  EXPECT_EQ(bins[0].accuracy, 0);
  EXPECT_EQ(bins[0].confidence, 0);
  EXPECT_EQ(bins[14].count, 1);
}

TEST(Ece, ByHand) {
  // Two rows with confidence 0.8 (one right), one with 0.62 (right): (2/3)|0.5 - 0.8| + (1/3)|1 -
  // 0.62|.
  const auto logit = [](double p) { return static_cast<float>(std::log(p / (1 - p))); };
  const at::Tensor logits = rows({logit(0.8), 0, 0, logit(0.8), logit(0.62), 0}, 2),
                   labels = at::tensor({0, 0, 0}, at::kLong);
  const auto bins = bins_of(logits, labels);
  EXPECT_EQ(bins[12].count, 2);
  EXPECT_EQ(bins[9].count, 1);
  EXPECT_NEAR(expected_calibration_error(bins), 2.0 / 3 * 0.3 + 1.0 / 3 * 0.38, 1e-6);
}

TEST(Ece, CertaintyFallsInTheLastBin) {
  const auto bins = bins_of(rows({1000, 0}, 2), at::tensor({0}, at::kLong));
  EXPECT_EQ(bins[14].count, 1);
  EXPECT_EQ(expected_calibration_error(bins), 0);
}

}  // namespace
}  // namespace vit22b::metrics
