#include "data/splits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace vit22b {
namespace {

/// 50 samples of class 0, 11 of class 1, 2 of class 2, 1 of class 3.
std::vector<int64_t> uneven_labels() {
  std::vector<int64_t> labels(50, 0);
  labels.resize(61, 1);
  labels.resize(63, 2);
  labels.resize(64, 3);
  return labels;
}

TEST(Splits, AreKnownByTheirNames) {
  for (const char* name : {"train", "Test", "val2017", "validation", "trainval"})
    EXPECT_TRUE(is_split_name(name)) << name;
  for (const char* name : {"trains", "full", "bus", "2017", ""})
    EXPECT_FALSE(is_split_name(name)) << name;
}

TEST(Splits, ATestIsMadeOnTestElseOnVal) {
  EXPECT_EQ(test_split_among({"train", "val", "test"}), "test");
  EXPECT_EQ(test_split_among({"train", "val"}), "val");
  EXPECT_EQ(test_split_among({"train", "validation"}), "validation");
  EXPECT_EQ(test_split_among({"train"}), "");
}

TEST(Splits, APartIsDrawnFromEachClass) {
  const std::vector<int64_t> labels = uneven_labels();
  const std::vector<bool> drawn = draw_part(labels, 0.2, 1);
  std::vector<int64_t> counts(4);
  for (size_t i = 0; i < labels.size(); ++i)
    if (drawn[i]) ++counts[static_cast<size_t>(labels[i])];
  EXPECT_EQ(counts, (std::vector<int64_t>{10, 2, 1, 0}));
  EXPECT_EQ(draw_part(labels, 0.2, 1), drawn);
  EXPECT_NE(draw_part(labels, 0.2, 2), drawn);
}

TEST(Splits, FoldsCoverEverySampleOnceWithEachClassSpreadEvenly) {
  const std::vector<int64_t> labels = uneven_labels();
  const std::vector<int64_t> folds = draw_folds(labels, 5, 1);
  for (int64_t fold = 0; fold < 5; ++fold) {
    std::vector<int64_t> counts(4);
    for (size_t i = 0; i < labels.size(); ++i)
      if (folds[i] == fold) ++counts[static_cast<size_t>(labels[i])];
    EXPECT_EQ(counts[0], 10);
    EXPECT_NEAR(static_cast<double>(counts[1]), 2.5, 0.5);
    EXPECT_NEAR(std::accumulate(counts.begin(), counts.end(), 0.0), 12.5, 0.5);
  }
  EXPECT_NE(draw_folds(labels, 5, 2), folds);
}

}  // namespace
}  // namespace vit22b
