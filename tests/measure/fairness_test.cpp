#include "measure/fairness.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;

FairnessTable table_of(const std::string& text, const FairnessColumns& columns = {}) {
  const test::TempFolder folder;
  test::write_file(folder / "f.csv", text);
  return read_fairness_table(folder / "f.csv", columns);
}

std::string refusal(const std::string& text) {
  return error_of<DataError>([&] { table_of(text); });
}

TEST(FairnessTable, ReadsTruthsInTheFormsThatPeopleWrite) {
  const FairnessTable table =
      table_of("group,label,score\nb,1,0.7\na,-1,0.2\nb,true,0.5\na,no,1\n");
  EXPECT_EQ(table.group_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(table.groups, (std::vector<int64_t>{1, 0, 1, 0}));
  EXPECT_EQ(table.labels, (std::vector<bool>{true, false, true, false}));
  EXPECT_EQ(table.predictions, (std::vector<bool>{true, false, true, true}));
}

TEST(FairnessTable, TakesColumnsByOtherNames) {
  const FairnessTable table = table_of("Male,Smiling,said\n1,1,0\n-1,-1,0\n",
                                       {.label = "Smiling", .prediction = "said", .group = "Male"});
  EXPECT_EQ(table.group_names, (std::vector<std::string>{"-1", "1"}));
  EXPECT_TRUE(table.scores.empty());
}

TEST(FairnessTable, NamesWhatIsWrong) {
  EXPECT_NE(refusal("label,score,grup\n1,0.5,a\n").find("has no column 'group'"),
            std::string::npos);
  EXPECT_NE(refusal("label,group\n1,a\n").find("--prediction or --score"), std::string::npos);
  EXPECT_NE(refusal("label,score,group\nna,0.5,a\n").find(":2: label is 'na', want 0 or 1"),
            std::string::npos);
  EXPECT_NE(refusal("label,score,group\n1,1.5,a\n").find(":2: score is '1.5'"), std::string::npos);
  EXPECT_NE(refusal("label,score,group\n1,nan,a\n").find("score is 'nan'"), std::string::npos);
  EXPECT_NE(refusal("label,score,group\n1,0.5,\n").find(":2: group is empty"), std::string::npos);
  EXPECT_NE(refusal("label,score,group\n1,0.5\n").find(":2: 2 fields, want 3"), std::string::npos);
  EXPECT_NE(refusal("").find("is empty"), std::string::npos);
  EXPECT_NE(refusal("label,label,score,group\n1,0,0.5,a\n").find("two columns 'label'"),
            std::string::npos);
  EXPECT_NE(error_of<DataError>([] {
              table_of("label,prediction,score,group\n1,0,0.5,a\n",
                       {.prediction = "decison", .is_prediction_named = true});
            }).find("has no column 'decison'"),
            std::string::npos);
}

TEST(Fairness, WantsGroupsToCompare) {
  const FairnessTable one = table_of("label,score,group\n1,0.5,a\n0,0.2,a\n");
  EXPECT_NE(error_of<DataError>([&] { measure_fairness(one, {}); }).find("has 1 group ('a')"),
            std::string::npos);
  const FairnessTable small = table_of("label,score,group\n1,0.5,a\n0,0.2,b\n");
  EXPECT_NE(error_of<DataError>([&] {
              measure_fairness(small, {});
            }).find("group 'a' has 1 samples, too few"),
            std::string::npos);
}

// Group b is decided positive more often; with no tolerance the gap closes, up to what a fitted
// part says of the others.
TEST(Fairness, ThresholdsCloseTheGapThatScoresHave) {
  const CounterRng rng(2, "test", "fairness");
  std::string text = "label,score,group\n";
  for (uint64_t i = 0; i < 4000; ++i) {
    const double u = static_cast<double>(rng.uniform(2 * i));
    const double score = i % 2 == 0 ? u * u : std::sqrt(u);
    text += concat(static_cast<double>(rng.uniform(2 * i + 1)) < score ? 1 : 0, ",", score, ",",
                   i % 2 == 0 ? "a" : "b", "\n");
  }
  const Result result = measure_fairness(table_of(text), {});
  EXPECT_GT(result.number("parity_gap"), 0.4);
  const ResultTable& rto = result.tables.back();
  ASSERT_EQ(rto.name, "rto");
  const auto gap_at = [&](size_t row) { return std::get<double>(rto.rows[row][2]); };
  EXPECT_LT(gap_at(0), 0.06);
  EXPECT_GT(gap_at(rto.rows.size() - 1), 0.1);
  EXPECT_LT(gap_at(rto.rows.size() - 1), 0.27);
  // The wider the tolerance, the more accurate.
  EXPECT_GT(std::get<double>(rto.rows.back()[3]), std::get<double>(rto.rows.front()[3]));
}

TEST(Fairness, OfDecisionsWithoutScoresHasNoThresholds) {
  const Result result =
      measure_fairness(table_of("label,prediction,group\n1,1,a\n0,0,a\n1,0,b\n1,1,b\n"), {});
  EXPECT_DOUBLE_EQ(result.number("level_disparity"), 0.5);
  EXPECT_TRUE(std::isnan(result.number("equalized_odds_gap")));  // group b has no negatives
  EXPECT_EQ(result.tables.back().name, "accuracy_per_group");
}

}  // namespace
}  // namespace vit22b
