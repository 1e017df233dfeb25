#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "measure/ood.h"
#include "measure/registry.h"
#include "measure/robustness.h"
#include "measure/temperature.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;

Predictions predictions_of(const at::Tensor& logits_NC, const at::Tensor& labels_N) {
  Predictions predictions{"test", logits_NC.size(1), labels_N, at::arange(labels_N.size(0))};
  predictions.logits = [logits_NC](int64_t first, int64_t count) {
    return logits_NC.narrow(0, first, count).clone();
  };
  return predictions;
}

/// Labels drawn from softmax(logits / temperature).
Predictions drawn(int64_t count, double temperature) {
  at::manual_seed(11);
  const at::Tensor logits = 2 * at::randn({count, 4});
  return predictions_of(logits,
                        at::multinomial(at::softmax(logits / temperature, 1), 1).squeeze(1));
}

Result measured(const std::string& name, const Predictions& predictions, int64_t batch_size) {
  Evaluators evaluators;
  evaluators.push_back(make_evaluator(name, {}));
  return evaluate(predictions, {.batch_size = batch_size}, evaluators).front();
}

TEST(CalibrationEvaluator, DoesNotDependOnBatches) {
  const Predictions predictions = drawn(1000, 1);
  for (const char* name : {"calibration", "selective"}) {
    const Result whole = measured(name, predictions, 1000),
                 pieces = measured(name, predictions, 37);
    for (const ResultNumber& number : whole.numbers)
      EXPECT_NEAR(number.value, pieces.number(number.metric.name), 1e-12) << number.metric.name;
  }
}

TEST(CalibrationEvaluator, OfCalibratedAnswersReadsTheFloor) {
  const Result result = measured("calibration", drawn(4000, 1), 512);
  EXPECT_LT(result.number("ece_15"), 2 * result.number("ece_15_floor"));
  EXPECT_GT(measured("calibration", drawn(4000, 3), 512).number("ece_15"),
            5 * result.number("ece_15_floor"));
}

// Of groups whose members all say the same, the parts add up to the score.
TEST(CalibrationEvaluator, BriersPartsAddUpWhereGroupsSayOneThing) {
  const at::Tensor two = at::tensor({0.2, 1.0, -0.5, 1.5, 0.1, 0.0}).view({2, 3});
  const at::Tensor logits = two.repeat({50, 1});
  at::manual_seed(2);
  const Result result =
      measured("calibration", predictions_of(logits, at::randint(3, {100}, at::kLong)), 7);
  EXPECT_NEAR(result.number("brier"),
              result.number("brier_uncertainty") - result.number("brier_resolution") +
                  result.number("brier_reliability"),
              1e-12);
}

TEST(CalibrationEvaluator, SaturatedAnswersHaveNumbers) {
  const at::Tensor logits = at::eye(3).repeat({5, 1}) * 1e4;
  const at::Tensor labels = at::arange(15).remainder(3);
  const Result result = measured("calibration", predictions_of(logits, labels), 4);
  EXPECT_EQ(result.number("ece_15"), 0);
  EXPECT_EQ(result.number("nll"), 0);
  // Of answers that are never wrong no order can be told.
  EXPECT_TRUE(std::isnan(
      measured("selective", predictions_of(logits, labels), 4).number("calibration_auc")));
}

TEST(Temperature, MakesAnOverconfidentModelCalibrated) {
  const Predictions all = drawn(8000, 2.5);
  const Predictions test = part_of(all, at::arange(0, 8000, 2)),
                    fit = part_of(all, at::arange(1, 8000, 2));
  const Result result = calibration_of(test, &fit, {}, {.batch_size = 300});
  EXPECT_NEAR(result.number("temperature"), 2.5, 0.1);
  EXPECT_LT(result.number("ece_15_after"), result.number("ece_15") / 4);
  EXPECT_LT(result.number("nll_after"), result.number("nll"));
  EXPECT_THROW(measured("calibration", test, 300).number("temperature"), InternalError);
}

TEST(Predictions, APartIsItsRowsInItsOrder) {
  const Predictions all = drawn(20, 1);
  const at::Tensor places = at::tensor({1, 4, 5, 19}, at::kLong);
  const Predictions part = part_of(all, places);
  EXPECT_TRUE(at::equal(part.logits(0, 4), all.logits(0, 20).index_select(0, places)));
  EXPECT_TRUE(
      at::equal(part.logits(2, 2), all.logits(0, 20).index_select(0, places.narrow(0, 2, 2))));
  EXPECT_TRUE(at::equal(part.labels_N, all.labels_N.index_select(0, places)));
}

// Strange samples: the same logits, but flat.
TEST(Ood, FlatLogitsAreStrange) {
  const Predictions known = drawn(300, 1);
  const Predictions flat = predictions_of(known.logits(0, 300) * 0.01, at::zeros({300}, at::kLong));
  const Result result = measure_ood({known}, {flat}, nullptr);
  for (const char* score : {"msp", "entropy", "max_logit"})
    EXPECT_GT(result.number(concat(score, ".auroc")), 0.95) << score;
  EXPECT_THROW(result.number("knn.auroc"), InternalError);
  // The other way round everything is turned over.
  const Result turned = measure_ood({flat}, {known}, nullptr);
  EXPECT_NEAR(result.number("msp.auroc") + turned.number("msp.auroc"), 1, 1e-12);
}

TEST(Ood, SamplesFarFromAllClassesAreStrange) {
  at::manual_seed(5);
  const at::Tensor labels = at::arange(200).remainder(2);
  const at::Tensor centres = at::tensor({-5.0, 0.0, 0.0, 5.0, 0.0, 0.0}).view({2, 3});
  const auto around = [&](double shift) {
    return (centres.index_select(0, labels) + at::randn({200, 3}) + shift).to(at::kFloat);
  };
  const Predictions said = predictions_of(at::zeros({200, 2}), labels);
  const OodFit fit{{around(0), labels, {}, "known"}, 5};
  const Result result = measure_ood({said, around(0)}, {said, around(4)}, &fit);
  EXPECT_GT(result.number("mahalanobis.auroc"), 0.95);
  EXPECT_GT(result.number("relative_mahalanobis.auroc"), 0.8);
  EXPECT_GT(result.number("knn.auroc"), 0.8);
  EXPECT_DOUBLE_EQ(result.number("msp.auroc"), 0.5);  // all alike
  const OodFit few{fit.known, 201};
  EXPECT_NE(error_of<DataError>([&] {
              measure_ood({said, around(0)}, {said, around(4)}, &few);
            }).find("has 200 known samples, fewer than the 201 neighbours"),
            std::string::npos);
}

TEST(Ood, LogitsOfOtherClassesAreRefused) {
  const Predictions three = predictions_of(at::zeros({4, 3}), at::zeros({4}, at::kLong)),
                    two = predictions_of(at::zeros({4, 2}), at::zeros({4}, at::kLong)),
                    none = predictions_of(at::zeros({0, 3}), at::zeros({0}, at::kLong));
  EXPECT_NE(error_of<DataError>([&] {
              measure_ood({three}, {two}, nullptr);
            }).find("logits of 3 classes, test of 2"),
            std::string::npos);
  EXPECT_NE(
      error_of<DataError>([&] { measure_ood({three}, {none}, nullptr); }).find("has no samples"),
      std::string::npos);
}

// Of one class nothing is relative; of one sample a class there is no spread to measure by.
TEST(Ood, DistancesThatMeanNothingAreLeftOutOrRefused) {
  at::manual_seed(6);
  const Predictions said = predictions_of(at::zeros({20, 2}), at::zeros({20}, at::kLong));
  const at::Tensor x = at::randn({20, 3});
  const OodFit one{{x, at::full({20}, int64_t{3'000'000'000}, at::kLong), {}, "known"}, 2};
  const Result result = measure_ood({said, x}, {said, x + 1}, &one);
  EXPECT_GT(result.number("mahalanobis.auroc"), 0.5);
  EXPECT_THROW(result.number("relative_mahalanobis.auroc"), InternalError);
  const OodFit each{{x, at::arange(20), {}, "known"}, 2};
  EXPECT_NE(error_of<DataError>([&] {
              measure_ood({said, x}, {said, x}, &each);
            }).find("want several a class"),
            std::string::npos);
}

TEST(Robustness, AReferenceIsOfTheSameSeveritiesAndSamples) {
  RobustnessReference reference = alexnet_reference();
  reference.check({1, 2, 3, 4, 5}, "any", 0);
  EXPECT_NE(error_of<UsageError>([&] {
              reference.check({1, 5}, "any", 0);
            }).find("is of severities 1,2,3,4,5, not of 1,5"),
            std::string::npos);
  reference.fingerprint = "these";
  EXPECT_NE(error_of<UsageError>([&] {
              reference.check({1, 2, 3, 4, 5}, "those", 0);
            }).find("is of other samples"),
            std::string::npos);
  reference.fingerprint = "", reference.seed = 3;
  reference.check({1, 2, 3, 4, 5}, "those", 3);
  EXPECT_NE(error_of<UsageError>([&] {
              reference.check({1, 2, 3, 4, 5}, "those", 0);
            }).find("of --seed 3, not 0"),
            std::string::npos);
}

// ImageNet-C's own sums: beside itself a model's errors are 1; beside one without errors nothing
// is.
TEST(Robustness, ErrorsAreSharesOfTheReferences) {
  Robustness robustness{.clean = {.accuracy = 0.9}};
  robustness.rows = {{"fog", "weather", 1, {.accuracy = 0.7}},
                     {"fog", "weather", 2, {.accuracy = 0.5}},
                     {"saturate", "extra", 1, {.accuracy = 0.1}}};
  RobustnessReference reference{"other", 0.2, {{"fog", 0.8}}};
  const Result result = robustness_result(robustness, &reference);
  EXPECT_NEAR(result.number("mce"), 0.4 / 0.8, 1e-12);
  EXPECT_NEAR(result.number("relative_mce"), (0.4 - 0.1) / (0.8 - 0.2), 1e-12);
  EXPECT_NEAR(result.number("mean.accuracy"), 0.6, 1e-12);  // extra ones are in no mean
  reference.errors["fog"] = 0;
  EXPECT_TRUE(std::isnan(robustness_result(robustness, &reference).number("mce")));
  EXPECT_TRUE(std::isnan(robustness_result(robustness, nullptr).number("mce")));
}

TEST(Ood, LogitsThatAreNotFiniteAreNamed) {
  at::Tensor logits = at::zeros({3, 2});
  logits[1][0] = std::nan("");
  const Predictions said = predictions_of(logits, at::zeros({3}, at::kLong));
  EXPECT_NE(error_of<NumbersError>([&] {
              measure_ood({said}, {said}, nullptr);
            }).find("logits have values that are not finite"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
