#include "transfer/head_sets.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

/// 11 samples of two classes, the feature of each its row.
LabelledFeatures eleven() {
  return {at::arange(11, at::kFloat).unsqueeze(1),
          at::tensor({0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1}, at::kLong),
          {},
          "here"};
}

TEST(HeadSets, FoldsTestEverySampleOnceAndTrainOnTheOthers) {
  HeadSets sets = head_sets(eleven(), eleven(), "", "3 folds");
  sets.rows = draw_rows(sets.train, {.folds = 3});
  ASSERT_EQ(sets.rows.size(), 3U);
  std::vector<at::Tensor> tested;
  for (size_t fit = 0; fit < 3; ++fit) {
    const HeadData data = sets.at(fit);
    EXPECT_EQ(data.train.size() + data.test.size(), 11);
    const at::Tensor all = at::cat({data.train.features_ND, data.test.features_ND}).squeeze(1);
    EXPECT_TRUE(std::get<0>(all.sort()).equal(at::arange(11, at::kFloat)));
    tested.push_back(sets.rows[fit].test);
  }
  EXPECT_TRUE(std::get<0>(at::cat(tested).sort()).equal(at::arange(11, at::kLong)));
  EXPECT_EQ(sets.num_train(), 7);  // the largest fold has 4
}

TEST(HeadSets, APartIsDrawnOnceOfEachClass) {
  const std::vector<RowSplit> rows = draw_rows(eleven(), {.part = "40%", .seed = 3});
  ASSERT_EQ(rows.size(), 1U);
  const at::Tensor labels = eleven().labels_N.index_select(0, rows[0].test);
  EXPECT_TRUE(class_counts(labels, 2).equal(at::tensor({2, 2}, at::kLong)));  // of 6 and of 5
  EXPECT_EQ(rows[0].train.size(0), 7);
  EXPECT_EQ((TestDraw{.part = "40%", .seed = 3}).name("train"), "40% of train, by class, seed 3");
}

TEST(HeadSets, WithoutADrawAllRowsAreOneFit) {
  const HeadSets sets = head_sets(eleven(), eleven(), "", "test");
  EXPECT_FALSE(draw_rows(sets.train, {}).front().test.defined());
  EXPECT_EQ(sets.at(0).test.size(), 11);
  EXPECT_EQ(sets.num_classes, 2);
}

TEST(HeadSets, MoreFoldsThanSamplesAreRefused) {
  EXPECT_EQ(test::error_of<DataError>([] { draw_rows(eleven(), {.folds = 12}); }),
            "here: 11 samples are too few for 12 folds of them, by class, seed 0");
}

}  // namespace
}  // namespace vit22b
