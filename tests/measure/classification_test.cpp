#include "measure/evaluators/classification.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"
#include "eval/evaluation.h"
#include "eval/label_map.h"
#include "support/files.h"
#include "support/memory_meter.h"

namespace vit22b {
namespace {

using test::error_of;
using Names = std::vector<std::string>;
using Counts = std::vector<std::vector<int64_t>>;

/// Samples whose only pixel is their index, with these labels.
class Indexed : public DataSource {
 public:
  Indexed(std::vector<int64_t> labels, Names names)
      : labels_(std::move(labels)), names_(std::move(names)) {}
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  Sample read(int64_t index) const override {
    Sample sample;
    sample.fields["image"].value = at::full({1, 1, 1}, index, at::kByte);
    sample.label = label(index);
    sample.id = std::to_string(index);
    return sample;
  }
  int64_t label(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }
  const Names& label_names() const override { return names_; }
  std::string fingerprint() const override { return "indexed"; }

 private:
  std::vector<int64_t> labels_;
  Names names_;
};

/// Says of the image with pixel i the i-th row of a table.
class KnownAnswers : public Predictor {
 public:
  explicit KnownAnswers(at::Tensor logits_NC) : logits_NC_(std::move(logits_NC)) {}
  at::Tensor logits(const at::Tensor& images_BCHW) override {
    return logits_NC_.index_select(0, images_BCHW.flatten().to(at::kLong));
  }
  VitOutputs features(const at::Tensor&, const std::set<int64_t>&) override { return {}; }
  at::Tensor input_gradient(const at::Tensor&, const at::Tensor&) override { return {}; }
  at::Tensor attention(const at::Tensor&, int64_t) override { return {}; }
  at::Tensor pool_attention(const at::Tensor&) override { return {}; }

 private:
  at::Tensor logits_NC_;
};

const Names kAnimals = {"ant", "bee", "cat", "dog", "emu", "fox"};

/// ln of 8 classes' shares: 1/2 for one, 1/4 for another, the rest shares the last quarter evenly.
at::Tensor answer(int64_t best, int64_t second) {
  at::Tensor logits = at::full({6}, std::log(0.0625));
  logits[best] = std::log(0.5);
  logits[second] = std::log(0.25);
  return logits;
}

/// Five answers: of truth 0 right, of 1 second, of 2 among the last, of 3 right, of 3 second.
KnownAnswers answers() {
  at::Tensor third = at::tensor({0.5, 0.25, 0.01, 0.09, 0.08, 0.07}).log();  // the truth is last
  return KnownAnswers(
      at::stack({answer(0, 1), answer(2, 1), third, answer(3, 0), answer(0, 3)}).to(at::kFloat));
}

Result measured(Predictor& predictor, const DataSource& source, EvalOptions options = {},
                const Names& names = {}) {
  options.batch_size = 2;
  Evaluators evaluators;
  evaluators.push_back(make_classification({"softmax", names}));
  return evaluate(predictor, source, Transforms("value_range(0,255)"), options, evaluators).front();
}

/// The whole matrix of confusions.
Counts confusion(const Result& result) {
  Counts counts;
  for (const ResultTable& table : result.tables) {
    if (table.name != "confusion") continue;
    for (const std::vector<Cell>& row : table.rows) {
      counts.emplace_back();
      for (const Cell& cell : row) counts.back().push_back(std::get<int64_t>(cell));
    }
  }
  return counts;
}

nlohmann::json json_of(const Result& result) {
  return nlohmann::json::parse(result_json(result));
}

TEST(Classification, IsExactForKnownAnswers) {
  KnownAnswers model = answers();
  const Result r = measured(model, Indexed({0, 1, 2, 3, 3}, kAnimals));
  EXPECT_EQ(r.number("num_examples"), 5);
  EXPECT_DOUBLE_EQ(r.number("top1"), 0.4);
  EXPECT_DOUBLE_EQ(r.number("top5"), 0.8);
  // Shares of the truth: 1/2, 1/4, 0.01, 1/2, 1/4.
  const double nll = (4 * std::log(2) + 2 * std::log(2) - std::log(0.01)) / 5;
  EXPECT_NEAR(r.number("nll"), nll, 1e-6);
  EXPECT_NEAR(r.number("loss"), nll, 1e-6);
  // All five are sure by 1/2, in one bin, and right in 2 of 5.
  EXPECT_NEAR(r.number("ece"), 0.1, 1e-6);
  EXPECT_EQ(confusion(r), (Counts{{1, 0, 0, 0, 0, 0},
                                  {0, 0, 1, 0, 0, 0},
                                  {1, 0, 0, 0, 0, 0},
                                  {1, 0, 0, 1, 0, 0},
                                  {0, 0, 0, 0, 0, 0},
                                  {0, 0, 0, 0, 0, 0}}));
}

/// The data's own labels in the model's classes.
std::shared_ptr<const DataSource> in_animals(const std::vector<int64_t>& labels, const Names& names,
                                             std::vector<int64_t>* used) {
  const auto source = std::make_shared<Indexed>(labels, names);
  const KnownClasses known{6, kAnimals, {}, "the model", ""};
  const DataClasses own = classes_of(*source, "the data");
  const LabelMap map = label_map(own, known);
  if (used != nullptr) *used = classes_in_use(own, map);
  return in_known_classes(source, map, known);
}

TEST(Classification, OfASubsetOfClassesIsOverAllOfTheModels) {
  // bee, cat, dog: the data's 0, 1, 2. The second answer is wrong by "cat", the others by "ant".
  at::Tensor logits =
      at::stack({answer(1, 0), answer(2, 1), answer(0, 2), answer(3, 0), answer(0, 3)})
          .to(at::kFloat);
  KnownAnswers subset(logits);
  const auto source = in_animals({0, 0, 1, 2, 2}, {"bee", "cat", "dog"}, nullptr);
  EXPECT_EQ(source->label_names(), kAnimals);
  const Result r = measured(subset, *source);
  EXPECT_DOUBLE_EQ(r.number("top1"), 0.4);
  EXPECT_EQ(confusion(r)[1], (std::vector<int64_t>{0, 1, 1, 0, 0, 0}));
}

TEST(Classification, RestrictedIsOverTheDatasClassesAlone) {
  at::Tensor logits =
      at::stack({answer(1, 0), answer(2, 1), answer(0, 2), answer(3, 0), answer(0, 3)})
          .to(at::kFloat);
  KnownAnswers model(logits);
  EvalOptions options;
  const auto source = in_animals({0, 0, 1, 2, 2}, {"bee", "cat", "dog"}, &options.classes);
  EXPECT_EQ(options.classes, (std::vector<int64_t>{1, 2, 3}));
  const Result r = measured(model, *source, options);
  // Without "ant" the third and the fifth answers are right.
  EXPECT_DOUBLE_EQ(r.number("top1"), 0.8);
  EXPECT_EQ(confusion(r), (Counts{{1, 1, 0}, {0, 1, 0}, {0, 0, 2}}));
  // Of bee, cat and dog the shares are 1/2, 1/16, 1/16 in the first answer.
  const double first = -std::log(0.5 / 0.625), second = -std::log(0.25 / 0.8125),
               third = -std::log(0.25 / 0.375);
  EXPECT_NEAR(r.number("nll"), (first + second + third + first + third) / 5, 1e-6);
}

TEST(Classification, ASampleWithoutALabelIsRefused) {
  KnownAnswers model = answers();
  const Indexed source({0, 1, -1, 2, 3}, kAnimals);
  EXPECT_EQ(error_of<DataError>([&] { measured(model, source); }), "2 has no label");
  EXPECT_EQ(error_of<DataError>([&] { classes_of(source, "the data"); }),
            "the data has no labels to be right about; want class folders, or a manifest with the "
            "column `label`");
}

TEST(Classification, JsonSaysWhatWasTestedAndHow) {
  KnownAnswers model = answers();
  Result result = measured(model, Indexed({0, 1, 2, 3, 3}, kAnimals), {}, kAnimals);
  result.settings = {
      {"split", std::string("val")}, {"labels_by", std::string("name")}, {"restricted", true}};
  const auto json = json_of(result);
  EXPECT_EQ(json["split"], "val");
  EXPECT_EQ(json["labels_by"], "name");
  EXPECT_EQ(json["restricted"], true);
  EXPECT_EQ(json["top1"], 0.4);
  EXPECT_EQ(json["confusion"][2], (std::vector<int64_t>{1, 0, 0, 0, 0, 0}));
}

/// Of image i, that it is class i, but class 7 where i is odd.
class ManyClasses : public KnownAnswers {
 public:
  explicit ManyClasses(int64_t num_classes) : KnownAnswers({}), num_classes_(num_classes) {}
  at::Tensor logits(const at::Tensor& images_BCHW) override {
    const at::Tensor number = images_BCHW.flatten().to(at::kLong);
    at::Tensor logits = at::zeros({number.size(0), num_classes_});
    const at::Tensor said = at::where(number.remainder(2).eq(0), number, at::full_like(number, 7));
    return logits.scatter_(1, said.unsqueeze(1), 10.0);
  }

 private:
  int64_t num_classes_;
};

/// `count` samples of the classes 0, 1, 2 ...
Indexed one_of_each(int64_t count) {
  std::vector<int64_t> labels(static_cast<size_t>(count));
  std::iota(labels.begin(), labels.end(), int64_t{0});
  return {std::move(labels), {}};
}

// The paper's head. All logits are 28 MiB here, the matrix of confusions would be 7 GB.
TEST(Classification, OfManyClassesTakesNoMoreMemoryThanABatch) {
  constexpr int64_t kClasses = 29'593;
  ManyClasses model(kClasses);
  const test::MemoryMeter meter;
  const Result r = measured(model, one_of_each(240));
  // A batch's logits are 232 KiB; float64 of the rows at a time, and what comes of them, the rest.
  EXPECT_LT(meter.peak(), int64_t{8} << 20);
  const auto json = json_of(r);
  EXPECT_EQ(json["confusion"]["labels"].size(), static_cast<size_t>(kClasses));
  EXPECT_EQ(json["confusion"]["most_confused"].size(), 119u);
  EXPECT_DOUBLE_EQ(r.number("top1"), 121.0 / 240);  // the even ones, and 7
}

TEST(Classification, JsonOfManyClassesHasTheirCountsAndTheMostConfused) {
  ManyClasses model(201);
  const auto json = json_of(measured(model, one_of_each(100)));
  const auto& confusion = json["confusion"];
  EXPECT_EQ(confusion["labels"].size(), 201u);
  EXPECT_EQ(confusion["labels"][99], 1);
  EXPECT_EQ(confusion["predictions"][7], 50);
  EXPECT_EQ(confusion["right"][7], 1);
  EXPECT_EQ(confusion["right"][9], 0);
  ASSERT_EQ(confusion["most_confused"].size(), 49u);
  EXPECT_EQ(confusion["most_confused"][0],
            (nlohmann::json{{"label", 1}, {"prediction", 7}, {"count", 1}}));
}

}  // namespace
}  // namespace vit22b
