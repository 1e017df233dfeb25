#include "measure/human.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "measure/human_categories.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;

Experiments people() {
  return read_human_trials(test::source_path("tests/oracle/model-vs-human"));
}

// Published: shape bias 0.96; computed from the same tables: 9,236 shape, 398 texture answers.
TEST(Human, ShapeBiasOfTenPeopleIsThePublishedOne) {
  const Result result = measure_human(people());
  EXPECT_EQ(result.number("shape_count"), 9236);
  EXPECT_EQ(result.number("texture_count"), 398);
  EXPECT_NEAR(result.number("shape_bias"), 0.95869, 5e-6);
  EXPECT_NEAR(result.number("shape_bias_of_humans"), 0.95759, 5e-6);
}

TEST(Human, ErrorConsistencyOfPeopleIsThePublishedOne) {
  const Result result = measure_human(people());
  EXPECT_NEAR(result.number("sets.cue-conflict.kappa"), 0.3311, 5e-5);
  EXPECT_NEAR(result.number("sets.edge.kappa"), 0.3184, 5e-5);
  EXPECT_NEAR(result.number("sets.sketch.kappa"), 0.3696, 5e-5);
  EXPECT_NEAR(result.number("sets.cue-conflict.accuracy"), 0.7755, 5e-5);
  EXPECT_NEAR(result.number("sets.edge.accuracy"), 0.8712, 5e-5);
  EXPECT_NEAR(result.number("sets.sketch.accuracy"), 0.9163, 5e-5);
}

// A person under a model's name: as alike to the others as that person is.
TEST(Human, AModelIsComparedWithEachPerson) {
  Experiments experiments = people();
  Experiments one = {{"edge", experiments.at("edge")}};
  Observer model = one["edge"].front();
  model.name = "a-model", model.is_human = false;
  one["edge"].erase(one["edge"].begin());
  one["edge"].push_back(model);
  const Result result = measure_human(one);
  EXPECT_GT(result.number("sets.edge.kappa"), 0.25);
  EXPECT_LT(result.number("sets.edge.kappa"), 0.45);
  // With its double among the people it agrees with that one altogether.
  one["edge"].push_back(experiments.at("edge").front());
  EXPECT_GT(measure_human(one).number("sets.edge.kappa"), result.number("sets.edge.kappa"));
}

TEST(Human, OfSeveralModelsRanksAreMeans) {
  Experiments experiments = {{"edge", people().at("edge")}};
  Observer good = experiments["edge"].front();
  good.name = "good", good.is_human = false;
  Observer bad = good;
  bad.name = "bad";
  for (Trial& trial : bad.trials) trial.response = "na";
  experiments["edge"].push_back(good);
  experiments["edge"].push_back(bad);
  const Result result = measure_human(experiments);
  const ResultTable& ranks = result.tables.back();
  ASSERT_EQ(ranks.name, "mean_rank");
  EXPECT_EQ(std::get<double>(ranks.rows[0][1]), 1);
  EXPECT_EQ(std::get<double>(ranks.rows[1][1]), 2);
}

TEST(Human, HeadersMayBeInAnyOrderAndCase) {
  const test::TempFolder folder;
  test::write_file(folder / "edge_subject-01_session_1.csv",
                   "Imagename,Category,OBJECT_RESPONSE,Condition,Subj\n"
                   "0001_edg_s01_0_oven_00_oven10.png,oven,oven,0,subject-01\n"
                   "0002_edg_s01_0_bear_00_bear1.png,bear,na,0,subject-01\n");
  EXPECT_DOUBLE_EQ(measure_human(read_human_trials(folder.path())).number("sets.edge.accuracy"),
                   0.5);
}

TEST(Human, WhatIsMissingIsNamed) {
  const test::TempFolder folder;
  EXPECT_NE(
      error_of<DataError>([&] { read_human_trials(folder.path()); }).find("has no tables called"),
      std::string::npos);
  test::write_file(folder / "edge_resnet_session-1.csv", "subj,category,condition,imagename\n");
  EXPECT_NE(error_of<DataError>([&] {
              read_human_trials(folder.path());
            }).find("has no column 'object_response'"),
            std::string::npos);
  test::write_file(
      folder / "edge_resnet_session-1.csv",
      "subj,object_response,category,condition,imagename\nresnet,a,a,0,1_a.png\nx,y\n");
  EXPECT_NE(
      error_of<DataError>([&] { read_human_trials(folder.path()); }).find(":3: 2 fields, want 5"),
      std::string::npos);
}

TEST(Human, WithoutPeopleThereIsAccuracyAlone) {
  Experiments experiments = {{"edge", {people().at("edge").front()}}};
  experiments["edge"].front().is_human = false;
  const Result result = measure_human(experiments);
  EXPECT_GT(result.number("sets.edge.accuracy"), 0.8);
  EXPECT_TRUE(std::isnan(result.number("sets.edge.kappa")));
}

// A table of what was read is read as the same trials.
TEST(Human, TablesAreWrittenAsTheyAreRead) {
  Observer observer{"a-model",
                    false,
                    {trial_of("cue-conflict", "airplane1-bicycle2.png", human_categories()),
                     trial_of("cue-conflict", "cat10-oven3.png", human_categories())}};
  observer.trials[0].response = "bicycle";
  observer.trials[1].response = "cat";
  EXPECT_EQ(observer.trials[0].texture, "bicycle");
  const test::TempFolder folder;
  test::write_file(folder / "cue-conflict_a-model_session-1.csv", trials_csv(observer));
  const Result result = measure_human(read_human_trials(folder.path()));
  EXPECT_EQ(result.number("shape_count"), 1);
  EXPECT_EQ(result.number("texture_count"), 1);
  EXPECT_DOUBLE_EQ(result.number("sets.cue-conflict.accuracy"), 0.5);
}

TEST(Human, NamesOfImagesSayCategoryAndCondition) {
  const Trial trial =
      trial_of("contrast", "0042_cop_dnn_c30_car_10_n02814533_1234.png", human_categories());
  EXPECT_EQ(trial.condition, "c30");
  EXPECT_EQ(trial.category, "car");
  EXPECT_EQ(trial.image, "n02814533_1234.png");
  EXPECT_NE(error_of<DataError>([] {
              trial_of("edge", "10.png", human_categories());
            }).find("10.png: '' is none of airplane"),
            std::string::npos);
}

TEST(Human, ACategoryIsTheMeanOfItsClasses) {
  NamedModel model;
  model.wnids.resize(1000);
  const CategoryMap map = category_map(model);
  size_t count = 0;
  for (const auto& classes : map.classes) count += classes.size();
  EXPECT_EQ(count, 207U);
  at::Tensor p = at::zeros({3, 1000}, at::kDouble);
  p[0][404] = 0.2;                                    // one class, an airplane
  for (int64_t c = 294; c < 298; ++c) p[0][c] = 0.1;  // four bears: more in all, less each
  p[1][385] = 0.5, p[1][386] = 0.1;                   // elephants
  p[1][499] = 0.25;
  // Nothing: of equal ones the last.
  const at::Tensor decided = decided_categories(p, map);
  EXPECT_EQ(human_categories()[static_cast<size_t>(decided[0].item<int64_t>())], "airplane");
  EXPECT_EQ(human_categories()[static_cast<size_t>(decided[1].item<int64_t>())], "elephant");
  EXPECT_EQ(human_categories()[static_cast<size_t>(decided[2].item<int64_t>())], "truck");
}

TEST(Human, AModelsOwnNamesMayBeTheCategories) {
  NamedModel model;
  model.info.label_names = human_categories();
  std::reverse(model.info.label_names.begin(), model.info.label_names.end());
  const CategoryMap map = category_map(model);
  EXPECT_EQ(map.by, "the model's own names");
  EXPECT_EQ(map.classes.front(), (std::vector<int64_t>{15}));
  model.info.label_names.erase(model.info.label_names.begin());
  EXPECT_NE(error_of<CheckpointError>([&] { category_map(model); }).find("none is called 'truck'"),
            std::string::npos);
}

TEST(Human, AModelWithoutPeopleHasNoRank) {
  Experiments experiments = {{"edge", {people().at("edge")}}};
  Observer model = experiments["edge"].front();
  model.name = "seen", model.is_human = false;
  experiments["edge"].push_back(model);
  model.name = "alone";
  experiments["other"].push_back(model);
  const ResultTable ranks = measure_human(experiments).tables.back();
  EXPECT_EQ(std::get<double>(ranks.rows[0][1]), 1);
  EXPECT_TRUE(std::isnan(std::get<double>(ranks.rows[1][1])));
}

TEST(Human, NamesWithCommasAreQuoted) {
  const Observer observer{"a,model", false, {Trial{"x,1.png", "dog", "dog", "0", ""}}};
  const test::TempFolder folder;
  test::write_file(folder / "edge_a_session-1.csv", trials_csv(observer));
  const Experiments read = read_human_trials(folder.path());
  EXPECT_EQ(read.at("edge").front().name, "a,model");
  EXPECT_EQ(read.at("edge").front().trials.front().image, "x,1.png");
}

TEST(Human, LeavesOutWhatTheProjectLeavesOut) {
  EXPECT_FALSE(is_kept_condition("contrast", "c100"));
  EXPECT_TRUE(is_kept_condition("contrast", "c30"));
  EXPECT_TRUE(is_kept_condition("edge", "0"));
}

}  // namespace
}  // namespace vit22b
