#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "core/error.h"
#include "eval/labelled_features.h"
#include "support/files.h"
#include "support/memory_meter.h"
#include "support/tensors.h"
#include "transfer/head_grid.h"
#include "transfer/logistic.h"
#include "transfer/neighbors.h"
#include "transfer/ridge.h"

namespace vit22b {
namespace {

using test::relative_difference;

at::Tensor oracle(const std::string& name) {
  static const SafetensorsFile file(test::source_path("tests/oracle/transfer.safetensors"));
  return file.load(name);
}

/// The oracle's cases: more samples than features, two classes, more features than samples.
class TransferOracle : public testing::TestWithParam<std::string> {
 protected:
  at::Tensor of(const std::string& name) const { return oracle(GetParam() + "/" + name); }
  int64_t num_classes() const { return of("labels").max().item<int64_t>() + 1; }
};

TEST_P(TransferOracle, LogisticRegressionMatchesScikitLearn) {
  for (const std::string c : {"0.01", "1", "100"}) {
    const LogisticFit fit =
        fit_logistic(of("train"), of("labels"), num_classes(), std::stod(c), {.tolerance = 1e-9});
    EXPECT_LE(fit.report.largest_gradient, 1e-8) << c;
    at::Tensor weights = fit.head.weights_DC.t(), bias = fit.head.bias_C;
    if (num_classes() == 2) {
      weights = (weights[1] - weights[0]).unsqueeze(0);
      bias = (bias[1] - bias[0]).unsqueeze(0);
    }
    EXPECT_LT(relative_difference(weights, of("logistic." + c + "/coef")), 1e-5) << c;
    EXPECT_LT(relative_difference(bias, of("logistic." + c + "/intercept")), 1e-4) << c;
    EXPECT_TRUE(fit.head.scores(of("test")).argmax(1).equal(of("logistic." + c + "/predicted")));
  }
}

TEST_P(TransferOracle, RidgeMatchesBigVisionsDefinition) {
  const RidgeHead head = fit_ridge(of("train"), of("labels"), num_classes(), 1024);
  // float64 on both sides; the normal equations of the wide case lose some digits.
  EXPECT_LT(relative_difference(head.weights_EC, of("ridge/weights")), 1e-9);
  EXPECT_LT(relative_difference(head.scores(of("test")), of("ridge/scores")), 1e-9);
}

TEST_P(TransferOracle, NeighborsMatchDinov2sDefinition) {
  const auto predicted =
      classify_by_neighbors(of("train"), of("labels"), of("test"), {1, 7, 40}, 0.07);
  for (const auto& [k, classes] : predicted)
    EXPECT_TRUE(classes.equal(of(concat("knn.", k, "/predicted")))) << k;
}

INSTANTIATE_TEST_SUITE_P(Cases, TransferOracle, testing::Values("many", "two", "wide"));

TEST(Logistic, LeavesAnAbsentClassUnpredictedAndTheOthersAsTheyWere) {
  const at::Tensor labels = oracle("many/labels");
  const at::Tensor moved = at::where(labels.ge(2), labels + 1, labels);  // class 2 has no sample
  const LogisticFit whole = fit_logistic(oracle("many/train"), labels, 5, 1, {});
  const LogisticFit gap = fit_logistic(oracle("many/train"), moved, 7, 1, {});
  const at::Tensor a = whole.head.scores(oracle("many/test")).argmax(1),
                   b = gap.head.scores(oracle("many/test")).argmax(1);
  EXPECT_TRUE(b.equal(at::where(a.ge(2), a + 1, a)));
}

// Of many classes, where scores weigh most, and of wide features, where the history does.
TEST(Logistic, TakesTheMemoryThatIsSaidBeforeIt) {
  for (const auto& [num, width, classes] :
       {std::tuple{2000, 16, 300}, {40, 500, 4}, {900, 300, 3}}) {
    const at::Tensor x = at::randn({num, width}),
                     labels = at::arange(num, at::kLong).remainder(classes);
    const LbfgsOptions options{.max_iterations = 15};
    const test::MemoryMeter meter;
    fit_logistic(x, labels, classes, 1, options);
    const int64_t said = logistic_bytes(num, width, classes, options);
    EXPECT_LE(meter.peak(), said);
    EXPECT_GE(meter.peak(), said * 6 / 10);
  }
}

TEST(Logistic, GoesOnFromAnotherPenaltyToTheSameMinimum) {
  const auto fit = [](const LinearHead* start) {
    return fit_logistic(oracle("many/train"), oracle("many/labels"), 5, 1, {.tolerance = 1e-9},
                        start);
  };
  const LogisticFit near = fit_logistic(oracle("many/train"), oracle("many/labels"), 5, 0.9, {});
  const LogisticFit cold = fit(nullptr), warm = fit(&near.head);
  EXPECT_LT(relative_difference(warm.head.weights_DC, cold.head.weights_DC), 1e-6);
  EXPECT_LT(warm.report.iterations, cold.report.iterations);
}

TEST(Logistic, StopsBetweenIterationsWhenAsked) {
  int asked = 0;
  const LbfgsOptions options{.tolerance = 0, .watch = {.should_stop = [&] { return ++asked > 3; }}};
  EXPECT_THROW(fit_logistic(oracle("many/train"), oracle("many/labels"), 5, 1, options), Stopped);
  EXPECT_EQ(asked, 4);
}

TEST(Logistic, PathSpansDinov2sRange) {
  const std::vector<double> path = penalty_path(45);
  EXPECT_NEAR(path.front(), 1e-6, 1e-12);
  EXPECT_NEAR(path.back(), 1e5, 1e-6);
  EXPECT_NEAR(path[1] / path[0], std::pow(10, 11.0 / 44), 1e-9);
}

TEST(Neighbors, GiveAnEqualVoteToTheLowerClass) {
  const at::Tensor train = at::eye(2), labels = at::tensor({1, 0}, at::kLong);
  const auto predicted = classify_by_neighbors(train, labels, at::ones({1, 2}), {2}, 0.07);
  EXPECT_EQ(predicted.at(2).item<int64_t>(), 0);
}

// exp(1 / 0.001) is infinite; a k given twice counts once.
TEST(Neighbors, VoteAtSmallTemperaturesAsAtLarge) {
  const at::Tensor train = at::tensor({1.0, 0.0, 0.0, 1.0, 0.9, 0.1, 0.1, 0.9}).view({4, 2}),
                   labels = at::tensor({1, 0, 1, 0}, at::kLong);
  for (const double temperature : {0.07, 0.001, 1e-300})
    for (const auto& [k, classes] :
         classify_by_neighbors(train, labels, train, {3, 1, 3}, temperature))
      EXPECT_TRUE(classes.equal(labels)) << k << " at " << temperature;
}

TEST(Shots, AreTheSameDrawForMoreShotsAndAllOfASmallClass) {
  const at::Tensor labels = at::tensor({0, 1, 0, 0, 2, 0, 2}, at::kLong);
  const at::Tensor one = draw_shots(labels, 4, 1, 3), three = draw_shots(labels, 4, 3, 3);
  EXPECT_EQ(one.size(0), 3);    // class 3 has none
  EXPECT_EQ(three.size(0), 6);  // 3 + 1 + 2
  EXPECT_EQ(std::get<0>(at::_unique(three)).size(0), 6);
  for (int64_t i = 0; i < 3; ++i) EXPECT_TRUE(three.eq(one[i]).any().item<bool>());
}

/// One step of a row of heads in plain ATen.
TEST(HeadGrid, StepIsSgdWithMomentumOfEachHeadAlone) {
  constexpr int64_t kBatch = 13, kWidth = 37, kHeads = 3, kClasses = 7;
  at::manual_seed(0);
  const std::vector<double> rates = {0.5, 0.1, 0.01};
  HeadRow row(kWidth, kHeads, kClasses, /*seed=*/1);
  std::vector<LinearHead> want;
  for (int64_t h = 0; h < kHeads; ++h) want.push_back(row.head(h));
  std::vector<at::Tensor> momenta(kHeads), bias_momenta(kHeads);
  for (int step = 0; step < 3; ++step) {
    const at::Tensor x = at::randn({kBatch, kWidth}),
                     y = at::randint(kClasses, {kBatch}, at::kLong);
    row.step(x, y, rates, 0.9);
    for (size_t h = 0; h < kHeads; ++h) {
      at::Tensor error = at::softmax(want[h].scores(x), 1);
      error.scatter_add_(1, y.unsqueeze(1), at::full({kBatch, 1}, -1.F));
      const at::Tensor g = at::mm(x.t(), error) / kBatch, gb = error.sum(0) / kBatch;
      momenta[h] = step == 0 ? g : 0.9 * momenta[h] + g;
      bias_momenta[h] = step == 0 ? gb : 0.9 * bias_momenta[h] + gb;
      want[h].weights_DC -= rates[h] * momenta[h];
      want[h].bias_C -= rates[h] * bias_momenta[h];
      const LinearHead got = row.head(static_cast<int64_t>(h));
      // Sums of 37 products in another order, three times.
      EXPECT_LT(relative_difference(got.weights_DC, want[h].weights_DC), 1e-5);
      EXPECT_LT(relative_difference(got.bias_C, want[h].bias_C), 1e-5);
    }
  }
}

TEST(HeadGrid, LearnsTheOraclesClassesAtAGoodRateAndHardlyAtABadOne) {
  const at::Tensor train = oracle("many/train"), labels = oracle("many/labels");
  const HeadInput input{"features", train.size(1),
                        [&](const at::Tensor& i) { return train.index_select(0, i); }};
  const auto rows = train_head_grid({input}, labels, at::arange(300, at::kLong), 5,
                                    {.rates = {1e-5, 0.1}, .epochs = 40, .batch_size = 50});
  const auto accuracy = [&](int64_t head) {
    return rows[0]
        .head(head)
        .scores(train)
        .argmax(1)
        .eq(labels)
        .to(at::kDouble)
        .mean()
        .item<double>();
  };
  EXPECT_GT(accuracy(1), 0.95);
  EXPECT_LT(accuracy(0), 0.6);
}

LabelledFeatures make_set(int64_t n, int64_t width, std::vector<std::string> names,
                          const std::string& place) {
  return {at::ones({n, width}), at::arange(n, at::kLong) % 2, std::move(names), place};
}

template <class Function>
std::string text_of_error(const Function& function) {
  try {
    function();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(LabelledFeatures, AreMatchedByNameAndWhatTrainingLacksIsNamed) {
  const LabelledFeatures train = make_set(4, 3, {"cat", "dog", "emu"}, "train");
  const LabelledFeatures test =
      in_classes_of(train, make_set(4, 3, {"dog", "emu"}, "test"));  // labels 0, 1, 0, 1
  EXPECT_TRUE(test.labels_N.equal(at::tensor({1, 2, 1, 2}, at::kLong)));
  EXPECT_EQ(count_classes(train, test), 3);
  EXPECT_EQ(text_of_error([&] {
              in_classes_of(train, make_set(4, 3, {"cat", "pangolin"}, "test"));
            }),
            "test: the class 'pangolin' is not among the 3 classes of train; --class-map FILE says "
            "which class is which");
}

TEST(LabelledFeatures, WithoutLabelsAreRefused) {
  LabelledFeatures unlabelled = make_set(4, 3, {}, "test");
  unlabelled.labels_N.fill_(-1);
  EXPECT_EQ(text_of_error([&] { count_classes(make_set(4, 3, {}, "train"), unlabelled); }),
            "test has samples without a label; want class folders, or a manifest with the column "
            "`label`");
}

TEST(LabelledFeatures, OfALabelThatNoMemoryCountsAreRefused) {
  LabelledFeatures many = make_set(4, 3, {}, "test");
  many.labels_N[1] = int64_t{1} << 60;
  EXPECT_EQ(text_of_error([&] {
              in_classes_of(make_set(4, 3, {"cat", "dog"}, "train"), many);
            }),
            "test has label 1152921504606846976, want labels below 10000000");
}

TEST(LabelledFeatures, OfOtherWidthsAreRefused) {
  EXPECT_NE(text_of_error([] {
              count_classes(make_set(4, 3, {}, "train"), make_set(4, 5, {}, "test"));
            }).find("width 3, test of width 5"),
            std::string::npos);
}

TEST(LabelledFeatures, OfOneClassAreRefused) {
  LabelledFeatures one = make_set(4, 3, {}, "train");
  one.labels_N.zero_();
  EXPECT_EQ(text_of_error([&] { count_classes(one, one); }), "train has 1 classes, want 2 or more");
}

TEST(LabelledFeatures, HoldOutIsADisjointCover) {
  const HoldOut parts = hold_out(103, 0.1, 5);
  EXPECT_EQ(parts.held_out.size(0), 10);
  EXPECT_TRUE(
      std::get<0>(at::cat({parts.kept, parts.held_out}).sort()).equal(at::arange(103, at::kLong)));
}

}  // namespace
}  // namespace vit22b
