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

TEST(TopK, CountsLabelsAmongTheLargest) {
  const at::Tensor logits = rows({3, 2, 1, 1, 2, 3, 1, 3, 2}, 3),
                   labels = at::tensor({0, 1, 0}, at::kLong);
  EXPECT_DOUBLE_EQ(top_k_accuracy(logits, labels, 1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(top_k_accuracy(logits, labels, 2), 2.0 / 3);
  EXPECT_DOUBLE_EQ(top_k_accuracy(logits, labels, 5), 1);
}

TEST(TopK, TiesGoToTheLowerIndex) {
  const at::Tensor logits = rows({1, 1, 1, 1}, 2);
  EXPECT_DOUBLE_EQ(top_k_accuracy(logits, at::tensor({0, 1}, at::kLong), 1), 0.5);
}

TEST(TopK, NoRowsAreUndefined) {
  EXPECT_TRUE(std::isnan(top_k_accuracy(at::zeros({0, 3}), at::zeros({0}, at::kLong), 1)));
}

// Neither a NaN of the label's class nor one of another is right.
TEST(TopK, ARowWithANanIsWrong) {
  const at::Tensor logits = rows({kNan, 1, 5, kNan, 5, 1}, 2);
  EXPECT_DOUBLE_EQ(top_k_accuracy(logits, at::tensor({0, 0, 0}, at::kLong), 1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(top_k_accuracy(logits, at::tensor({0, 0, 0}, at::kLong), 5), 1.0 / 3);
}

TEST(Nll, OfUniformLogitsIsLnC) {
  EXPECT_NEAR(negative_log_likelihood(at::zeros({4, 7}), at::tensor({0, 3, 6, 1}, at::kLong)),
              std::log(7.0), 1e-12);
}

TEST(Confusion, CountsTruthByPrediction) {
  const at::Tensor logits = rows({1, 0, 0, 1, 1, 0}, 2), labels = at::tensor({0, 0, 1}, at::kLong);
  EXPECT_EQ(confusion_matrix(logits, labels), (std::vector<std::vector<int64_t>>{{1, 1}, {1, 0}}));
}

TEST(Confusion, LeavesRowsWithANanOut) {
  EXPECT_EQ(confusion_matrix(rows({kNan, 0, 1, 0}, 2), at::tensor({0, 0}, at::kLong)),
            (std::vector<std::vector<int64_t>>{{1, 0}, {0, 0}}));
}

TEST(Ece, ARowWithANanIsWrongWithoutConfidence) {
  const auto bins =
      calibration_bins(rows({kNan, 0, 1000, 0}, 2), at::tensor({0, 0}, at::kLong), 15);
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
  const auto bins = calibration_bins(logits, labels, 15);
  EXPECT_EQ(bins[12].count, 2);
  EXPECT_EQ(bins[9].count, 1);
  EXPECT_NEAR(expected_calibration_error(bins), 2.0 / 3 * 0.3 + 1.0 / 3 * 0.38, 1e-6);
}

TEST(Ece, CertaintyFallsInTheLastBin) {
  const auto bins = calibration_bins(rows({1000, 0}, 2), at::tensor({0}, at::kLong), 15);
  EXPECT_EQ(bins[14].count, 1);
  EXPECT_EQ(expected_calibration_error(bins), 0);
}

}  // namespace
}  // namespace vit22b::metrics
