#include "metrics/examples.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace vit22b::metrics {
namespace {

std::vector<int64_t> samples(const std::vector<Example>& examples) {
  std::vector<int64_t> numbers;
  for (const Example& example : examples) numbers.push_back(example.sample);
  return numbers;
}

TEST(Examples, AreWhatTheLogitsSay) {
  const at::Tensor labels = at::tensor({1, 1}, at::kLong);
  const auto answers = answers_of(at::tensor({0.0F, 2.0F, 3.0F, 0.0F}).view({2, 2}), labels);
  const auto examples = examples_of(answers, at::tensor({7, 9}, at::kLong), {"a", "b"});
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].sample, 7);
  EXPECT_TRUE(examples[0].is_right());
  EXPECT_NEAR(examples[0].probability, 1 / (1 + std::exp(-2.0)), 1e-12);
  EXPECT_EQ(examples[1].id, "b");
  EXPECT_EQ(examples[1].prediction, 0);
}

TEST(SurestExamples, AreOneAPairAndTheRightOnesFirst) {
  const std::vector<Example> all = {{1, "", 0, 1, 0.9}, {2, "", 0, 1, 0.95}, {3, "", 0, 0, 0.5},
                                    {4, "", 1, 0, 0.8}, {5, "", 1, 1, 0.99}, {6, "", 2, 2, 0.99},
                                    {7, "", 2, 0, 0.7}, {8, "", 0, 1, 0.95}};
  EXPECT_EQ(samples(surest_examples(all, 2)), (std::vector<int64_t>{5, 6, 2, 4}));
  EXPECT_EQ(samples(surest_examples(all, 9)), (std::vector<int64_t>{5, 6, 3, 2, 4, 7}));
}

// What lets batches and ranks choose by themselves.
TEST(SurestExamples, OfPartsAreThoseOfTheWhole) {
  at::manual_seed(0);
  const at::Tensor logits = at::randn({500, 7}), labels = at::randint(7, {500}, at::kLong);
  const std::vector<std::string> ids(500, "x");
  const auto all = examples_of(answers_of(logits, labels), at::arange(500), ids);
  std::vector<Example> merged;
  for (size_t first = 0; first < all.size(); first += 83) {
    const auto last = std::min(all.size(), first + 83);
    merged.insert(merged.end(), all.begin() + static_cast<int64_t>(first),
                  all.begin() + static_cast<int64_t>(last));
    merged = surest_examples(std::move(merged), 5);
  }
  EXPECT_EQ(samples(merged), samples(surest_examples(all, 5)));
  EXPECT_EQ(merged.size(), 10u);
}

}  // namespace
}  // namespace vit22b::metrics
