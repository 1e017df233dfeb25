#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/loss.h"
#include "kernels/norm.h"
#include "kernels/resize_grid.h"
#include "kernels/rotary.h"
#include "kernels/shape.h"
#include "support/files.h"
#include "support/memory_meter.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;
using test::relative_difference;

TEST(RmsNorm, IsXOverRootMeanSquareTimesWeight) {
  const at::Tensor x = at::tensor({3.0F, -4.0F}).reshape({1, 2}), weight = at::tensor({1.0F, 2.0F});
  const double root = std::sqrt((9 + 16) / 2.0);
  const at::Tensor want = at::tensor({3 / root, 2 * -4 / root}).reshape({1, 2});
  EXPECT_LT(relative_difference(rms_norm(x, weight, 0), want), 1e-6);
}

TEST(UnitLength, GradientMatchesAutograd) {
  const at::AutoGradMode grad(true);
  at::manual_seed(0);
  const at::Tensor x = at::randn({5, 7}, at::kDouble).requires_grad_(),
                   dy = at::randn({5, 7}, at::kDouble);
  unit_length(x).backward(dy);
  EXPECT_LT(relative_difference(unit_length_gradient(x.detach(), dy), x.grad()), 1e-14);
}

TEST(RmsNorm, Bf16IsNormalisedInFloatAndRoundedOnce) {
  const at::Tensor x = at::randn({5, 97}).to(at::kBFloat16), weight = at::randn({97});
  const at::Tensor want = rms_norm(x.to(at::kFloat), weight, 1e-6);
  EXPECT_LT(relative_difference(rms_norm(x, weight, 1e-6), want),
            1.0 / 256);  // half an ulp of bf16
}

TEST(LayerNorm, CentresAndMayLackABias) {
  const at::Tensor x = at::randn({3, 17}, at::kDouble).to(at::kFloat), weight = at::ones({17});
  const at::Tensor got = layer_norm(x, weight, {}, 1e-6);
  EXPECT_LT(got.mean(1).abs().max().item<double>(), 1e-6);
  EXPECT_NEAR(got.var(1, false)[0].item<double>(), 1, 1e-4);
}

TEST(Gelu, TwoFormsDifferByTheKnownMost) {
  const at::Tensor x = at::linspace(-6, 6, 120'001, at::kDouble);
  const at::Tensor apart =
      activate(x, parse_activation("gelu")) - activate(x, parse_activation("gelu_tanh"));
  EXPECT_NEAR(apart.abs().max().item<double>(), 4.73e-4, 1e-6);
}

TEST(Attention, EqualsExplicitSoftmaxForOddSizes) {
  for (const auto& [queries, keys, size] : {std::tuple{1, 7, 5}, {13, 13, 31}, {3, 1, 8}}) {
    const at::Tensor q = at::randn({2, 3, queries, size}), k = at::randn({2, 3, keys, size}),
                     v = at::randn({2, 3, keys, size});
    const at::Tensor want = at::matmul(attention_weights(q, k), v);
    EXPECT_LT(relative_difference(attention(q, k, v), want), 1e-5);
  }
}

TEST(AttentionSignals, UniformAttentionHasEntropyLnT) {
  const at::Tensor q = at::zeros({1, 1, 4, 8}), k = at::randn({1, 1, 9, 8});
  const AttentionSignals signals = attention_signals(q, k);
  EXPECT_NEAR(signals.entropy, std::log(9.0), 1e-6);
  EXPECT_EQ(signals.max_logit, 0);
}

TEST(AttentionSignals, LargestLogitIsScaledByRootOfHeadSize) {
  const at::Tensor q = at::full({1, 1, 1, 4}, 3.0), k = at::full({1, 1, 1, 4}, -2.0);
  EXPECT_NEAR(attention_signals(q, k).max_logit, 24 / 2.0, 1e-6);
}

// 1,301 tokens are seven blocks of queries a head; the logits whole would be 58 MiB, four times.
TEST(AttentionSignals, OfManyTokensAreThoseOfTheWholeInLittleMemory) {
  const at::Tensor q = at::randn({3, 3, 1301, 4}), k = 2 * at::randn({3, 3, 1301, 4});
  const at::Tensor logits = at::matmul(q, k.transpose(-2, -1)) / 2, p = at::softmax(logits, -1);
  const double entropy = -(p * p.log()).sum(-1).mean().item<double>();
  const test::MemoryMeter meter;
  const AttentionSignals signals = attention_signals(q, k);
  EXPECT_LT(meter.peak(), int64_t{6} << 20);
  EXPECT_FLOAT_EQ(static_cast<float>(signals.max_logit), logits.abs().max().item<float>());
  EXPECT_NEAR(signals.entropy, entropy, 1e-5 * entropy);
}

TEST(AttentionSignals, OfFewTokensTakeManyHeadsAtATime) {
  const at::Tensor q = at::randn({7, 5, 3, 4}), k = at::randn({7, 5, 11, 4});
  const at::Tensor p = attention_weights(q, k);
  EXPECT_NEAR(attention_signals(q, k).entropy, -(p * p.log()).sum(-1).mean().item<double>(), 1e-5);
}

TEST(AttentionByHead, EntropyAndInformationAreThoseOfTheWeights) {
  const at::Tensor q = at::randn({2, 3, 701, 4}), k = 2 * at::randn({2, 3, 701, 4});
  const at::Tensor p = attention_weights(q, k).to(at::kDouble), mean = p.mean(2);
  const at::Tensor entropy = -(p * p.log()).sum(-1).mean(2);
  const HeadAttention heads = attention_by_head(q, k);
  EXPECT_LT(relative_difference(heads.entropy_BH, entropy), 1e-5);
  EXPECT_LT(relative_difference(heads.information_BH, -(mean * mean.log()).sum(-1) - entropy),
            1e-5);
}

TEST(AttentionByHead, SaysNothingOfQueriesThatAreAlike) {
  const at::Tensor q = at::randn({1, 1, 1, 4}).expand({2, 3, 9, 4}), k = at::randn({2, 3, 11, 4});
  EXPECT_LT(attention_by_head(q, k).information_BH.max().item<double>(), 1e-6);
}

TEST(SigmoidLoss, SumsOverClassesByHand) {
  // z = (0, 2), y = (1, 0): ln 2 + ln(1 + e^2).
  const at::Tensor loss = sigmoid_cross_entropy(at::tensor({0.0F, 2.0F}).reshape({1, 2}),
                                                at::tensor({1.0F, 0.0F}).reshape({1, 2}));
  EXPECT_NEAR(loss.item<double>(), std::log(2.0) + std::log1p(std::exp(2.0)), 1e-6);
}

TEST(SigmoidLoss, TakesMultiHotTargets) {
  const at::Tensor logits = at::zeros({2, 5}),
                   targets =
                       at::tensor({1, 1, 0, 0, 1, 0, 0, 0, 0, 0}).reshape({2, 5}).to(at::kFloat);
  EXPECT_TRUE(
      at::allclose(sigmoid_cross_entropy(logits, targets), at::full({2}, 5 * std::log(2.0))));
}

TEST(SoftmaxLoss, OfUniformLogitsIsLnC) {
  const at::Tensor targets = at::one_hot(at::tensor({3}, at::kLong), 7).to(at::kFloat);
  EXPECT_NEAR(softmax_cross_entropy(at::zeros({1, 7}), targets).item<double>(), std::log(7.0),
              1e-6);
}

TEST(PositionTable, StaysItselfOnItsOwnGrid) {
  const at::Tensor table = at::randn({6, 5});
  EXPECT_TRUE(resize_position_table(table, {2, 3}, {2, 3}, "bicubic").is_same(table));
}

TEST(PositionTable, AlignCornersKeepsTheCorners) {
  const at::Tensor table = at::randn({6, 5});
  const at::Tensor big = resize_position_table(table, {2, 3}, {5, 9}, "bilinear_align_corners");
  EXPECT_TRUE(at::allclose(big[0], table[0]));
  EXPECT_TRUE(at::allclose(big[8], table[2]));
  EXPECT_TRUE(at::allclose(big[44], table[5]));
}

TEST(PositionTable, EveryMethodKeepsAConstant) {
  for (const char* method : {"bicubic_antialias", "bicubic", "bilinear_align_corners"})
    EXPECT_TRUE(at::allclose(resize_position_table(at::full({6, 2}, 3.0), {2, 3}, {7, 4}, method),
                             at::full({28, 2}, 3.0)))
        << method;
}

TEST(CheckShape, TellsGotAndWant) {
  EXPECT_EQ(
      error_of<UsageError>([] {
        check_shape("MapHead", "tokens", at::zeros({2, 256, 767}), {{"B"}, {"T"}, {"D", 768}});
      }),
      "MapHead: tokens has shape [2, 256, 767], want [B, T, D=768]");
}

TEST(AttentionMask, WhatDoesNotFitTheTokensIsRefused) {
  const auto refusal = [](const std::function<void()>& f) {
    return test::error_of<InternalError>(f);
  };
  const AttentionMask causal{.is_causal = true};
  EXPECT_NO_THROW(causal.check(2, 5, 5));
  EXPECT_NE(refusal([&] { causal.check(2, 4, 5); }).find("as many queries as keys"),
            std::string::npos);
  const auto lengths = [&](const at::Tensor& lengths_B) {
    return [=] { AttentionMask{.lengths_B = lengths_B}.check(2, 5, 5); };
  };
  EXPECT_NO_THROW(lengths(at::tensor({1, 5}, at::kLong))());
  for (const at::Tensor& wrong :
       {at::tensor({0, 5}, at::kLong), at::tensor({1, 6}, at::kLong), at::tensor({1}, at::kLong),
        at::tensor({1, 5}, at::kInt), at::ones({2, 2}, at::kLong).select(1, 0)})
    EXPECT_NE(refusal(lengths(wrong)), "");
}

TEST(RotaryTables, TurnBackWhatTheyTurned) {
  for (const bool is_half : {false, true}) {
    const at::Tensor angles = at::randn({5, 3});
    const at::Tensor all = is_half ? at::cat({angles, angles}, 1) : angles.repeat_interleave(2, 1);
    const RotaryTables tables{all.cos(), all.sin(), is_half};
    tables.check(5, 6);
    EXPECT_NE(test::error_of<InternalError>([&] { tables.check(6, 5); }), "");
    const at::Tensor x = at::randn({2, 4, 5, 6}), turned = rotate(x, tables, 2);
    EXPECT_LT(relative_difference(rotate(turned, tables.reversed(), 2), x), 1e-6);
    EXPECT_LT(relative_difference(turned.square().sum(-1), x.square().sum(-1)), 1e-6);
    // One token's first pair, by hand.
    const int64_t partner = is_half ? 3 : 1;
    const double c = std::cos(angles[2][0].item<double>()),
                 s = std::sin(angles[2][0].item<double>()), a = x[1][3][2][0].item<double>(),
                 b = x[1][3][2][partner].item<double>();
    EXPECT_NEAR(turned[1][3][2][0].item<double>(), a * c - b * s, 1e-6);
    EXPECT_NEAR(turned[1][3][2][partner].item<double>(), b * c + a * s, 1e-6);
  }
}

}  // namespace
}  // namespace vit22b
