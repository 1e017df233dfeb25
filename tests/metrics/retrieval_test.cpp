#include "metrics/retrieval.h"

#include <gtest/gtest.h>

#include <limits>

namespace vit22b::metrics {
namespace {

// By hand: query 0 has its answers at 0.2 and 0.9 with 0.5 between, query 1 none, query 2 a tie.
TEST(AnswerRanks, TakeTheBestAnswerAndCountTiesAgainstIt) {
  const at::Tensor scores = at::tensor({0.2, 0.5, 0.9, 0.1, 0.2, 0.3, 0.4, 0.4, 0.1}).view({3, 3}),
                   queries = at::tensor({7, 9, 8}, at::kLong),
                   candidates = at::tensor({7, 8, 7}, at::kLong);
  EXPECT_TRUE(answer_ranks(scores, queries, candidates).equal(at::tensor({0, 3, 1}, at::kLong)));
}

TEST(AnswerRanks, CountANanAgainstTheAnswer) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor scores = at::tensor({nan, 0.1, 0.2, 0.9, nan, 0.1, nan, nan, nan}).view({3, 3}),
                   own = at::arange(3, at::kLong).sub(at::tensor({0, 1, 0}, at::kLong)),
                   candidates = at::arange(3, at::kLong);
  EXPECT_TRUE(answer_ranks(scores, own, candidates).equal(at::tensor({2, 1, 2}, at::kLong)));
}

TEST(RecallAt, IsTheShareOfRanksBelowK) {
  const at::Tensor ranks = at::tensor({0, 3, 1, 4}, at::kLong);
  EXPECT_EQ(recall_at(ranks, 1), 0.25);
  EXPECT_EQ(recall_at(ranks, 4), 0.75);
  EXPECT_TRUE(std::isnan(recall_at(ranks.slice(0, 0, 0), 1)));
}

}  // namespace
}  // namespace vit22b::metrics
