#include "data/batch.h"

#include <gtest/gtest.h>

namespace vit22b {
namespace {

Batch make_batch() {
  Batch batch =
      batch_of(at::arange(6, at::kFloat).view({3, 1, 1, 2}), at::tensor({4, 5, 6}, at::kLong));
  batch.fields["text"] = at::arange(3, at::kLong).view({3, 1});
  return batch;
}

TEST(Mixup, MixesEachImageWithItsNeighbourByOneShare) {
  const Batch batch = make_batch(), mix = mixed(batch, 1, /*seed=*/3, /*step=*/7);
  EXPECT_GT(mix.share, 0);
  EXPECT_LT(mix.share, 1);
  EXPECT_FLOAT_EQ(mix.images_BCHW()[1][0][0][1].item<float>(),
                  static_cast<float>(3 * mix.share + 1 * (1 - mix.share)));
  EXPECT_TRUE(mix.mixed_labels_B.equal(at::tensor({6, 4, 5}, at::kLong)));
  EXPECT_TRUE(mix.labels_B.equal(batch.labels_B));
}

// A share whose first image has its neighbour on another rank: the sample after the share's own.
TEST(Mixup, TheSampleBehindAShareIsTheFirstOnesNeighbour) {
  const Batch batch = make_batch(), mix = mixed(batch, 1, 3, 7, /*num_own=*/2);
  EXPECT_TRUE(mix.labels_B.equal(at::tensor({4, 5}, at::kLong)));
  EXPECT_TRUE(mix.mixed_labels_B.equal(at::tensor({6, 4}, at::kLong)));
  EXPECT_EQ(mix.images_BCHW().size(0), 2);
  EXPECT_EQ(mix.fields.at("text").size(0), 2);
  EXPECT_FLOAT_EQ(mix.images_BCHW()[0][0][0][1].item<float>(),
                  static_cast<float>(1 * mix.share + 5 * (1 - mix.share)));
  const Batch one = mixed(batch, 1, 3, 7, 1);
  EXPECT_TRUE(one.mixed_labels_B.equal(at::tensor({6}, at::kLong)));
}

TEST(Mixup, DrawsAreKeyedBySeedAndStep) {
  const Batch batch = make_batch();
  EXPECT_EQ(mixed(batch, 0.4, 3, 7).share, mixed(batch, 0.4, 3, 7).share);
  EXPECT_NE(mixed(batch, 0.4, 3, 7).share, mixed(batch, 0.4, 3, 8).share);
  EXPECT_NE(mixed(batch, 0.4, 3, 7).share, mixed(batch, 0.4, 4, 7).share);
}

// Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
TEST(Mixup, SharesHaveTheBetaDistributionsMoments) {
  constexpr int kDraws = 20'000;
  for (const double alpha : {1.0, 0.4}) {
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double share =
          mixed(batch_of(at::zeros({1, 1, 1, 1}), at::zeros({1}, at::kLong)), alpha, 0, i).share;
      sum += share;
      squares += (share - 0.5) * (share - 0.5);
    }
    // Four standard errors of a mean of 20,000.
    EXPECT_NEAR(sum / kDraws, 0.5, 4 * 0.38 / std::sqrt(kDraws)) << alpha;
    EXPECT_NEAR(squares / kDraws, 1 / (4 * (2 * alpha + 1)), 0.004) << alpha;
  }
}

TEST(Batch, PiecesKeepEveryFieldTogether) {
  const Batch mix = mixed(make_batch(), 1, 0, 0);
  const auto pieces = mix.pieces(3);
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_TRUE(pieces[2].images_BCHW().equal(mix.images_BCHW().slice(0, 2)));
  EXPECT_EQ(pieces[1].labels_B.item<int64_t>(), 5);
  EXPECT_EQ(pieces[1].mixed_labels_B.item<int64_t>(), 4);
  EXPECT_EQ(pieces[2].fields.at("text").item<int64_t>(), 2);
  EXPECT_EQ(pieces[0].share, mix.share);
}

}  // namespace
}  // namespace vit22b
