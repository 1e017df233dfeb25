#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/text.h"
#include "kernels/activation.h"
#include "kernels/attention_mask.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/softmax.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/update.h"
#include "kernels/norm.h"
#include "kernels/rotary.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using cpu::Rows;
using cpu::Storage;
using cpu::Tile;
using test::relative_difference;

Rows rows_of(const at::Tensor& t) {
  return {t.mutable_data_ptr(), t.stride(0),
          t.scalar_type() == at::kFloat ? Storage::kFloat32 : Storage::kBFloat16};
}
Tile tile_of(const at::Tensor& t) {
  return {t.mutable_data_ptr<float>(), t.stride(0), t.size(0), t.size(1)};
}

/// Runs each test once for each instruction set that this machine has.
class Cpu : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

INSTANTIATE_TEST_SUITE_P(Targets, Cpu, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& p) { return std::string(hwy::TargetName(p.param)); });

TEST_P(Cpu, ProductEqualsAtensForOddSizesBothWaysRound) {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1},
                                {5, 7, 3},
                                {6, 64, 512},
                                {97, 131, 515},
                                {13, 385, 40},
                                {200, 16, 1025},
                                {7, 800, 2},
                                {101, 176, 301}})
    for (const bool is_a_transposed : {false, true})
      for (const bool is_b_transposed : {false, true}) {
        const at::Tensor a = is_a_transposed ? at::randn({k, m}) : at::randn({m, k});
        const at::Tensor b = is_b_transposed ? at::randn({n, k}) : at::randn({k, n});
        const at::Tensor want = at::mm((is_a_transposed ? a.t() : a).to(at::kDouble),
                                       (is_b_transposed ? b.t() : b).to(at::kDouble));
        const at::Tensor got = at::full({m, n}, 3.0F);
        const cpu::Term term{.a = rows_of(a),
                             .is_a_transposed = is_a_transposed,
                             .b = rows_of(b),
                             .is_b_transposed = is_b_transposed,
                             .k = k};
        cpu::product_into(tile_of(got), {term}, false);
        EXPECT_LT(relative_difference(got, want), 1e-5) << m << " " << n << " " << k;
        cpu::product_into(tile_of(got), {term}, true);
        EXPECT_LT(relative_difference(got, 2 * want), 1e-5) << "added";
      }
}

TEST_P(Cpu, PairsOfBf16GiveTheProductOfTheRoundedFactors) {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {7, 70, 5}, {97, 131, 1031}, {13, 64, 514}})
    for (const bool is_a_transposed : {false, true})
      for (const bool is_b_transposed : {false, true})
        for (const auto dtype : {at::kFloat, at::kBFloat16}) {
          const at::Tensor a = (is_a_transposed ? at::randn({k, m}) : at::randn({m, k})).to(dtype);
          const at::Tensor b = (is_b_transposed ? at::randn({n, k}) : at::randn({k, n})).to(dtype);
          const auto rounded = [](const at::Tensor& x) {
            return x.to(at::kBFloat16).to(at::kDouble);
          };
          const at::Tensor want =
              at::mm(rounded(is_a_transposed ? a.t() : a), rounded(is_b_transposed ? b.t() : b));
          const cpu::PackedMatrix packed(rows_of(b), is_b_transposed, k, n, cpu::Arithmetic::kHalf);
          for (const cpu::PackedMatrix* ready :
               {static_cast<const cpu::PackedMatrix*>(nullptr), &packed}) {
            const at::Tensor got = at::empty({m, n});
            cpu::product_into(tile_of(got),
                              {{.a = rows_of(a),
                                .is_a_transposed = is_a_transposed,
                                .b = rows_of(b),
                                .is_b_transposed = is_b_transposed,
                                .packed = ready,
                                .k = k}},
                              false, cpu::Arithmetic::kHalf);
            EXPECT_LT(relative_difference(got, want), 1e-5) << m << " " << n << " " << k;
          }
        }
}

// Whether a CPU's matrix unit or its vectors multiply the pairs depends on how A lies.
TEST_P(Cpu, TilesOfPairsAreRightHoweverALies) {
  for (const auto& [m, n, words] : {std::tuple{1, 1, 1},
                                    {16, 16, 16},
                                    {17, 33, 15},
                                    {33, 64, 17},
                                    {70, 20, 40},
                                    {13, 48, 97}}) {
    const auto pairs = [](int64_t rows, int64_t columns) {
      return at::randn({rows, 2 * columns}).to(at::kBFloat16);
    };
    const at::Tensor a = pairs(m, words), b = pairs(n, words);
    const auto words_of = [](const at::Tensor& x) {
      return static_cast<const float*>(x.const_data_ptr());
    };
    cpu::Scratch memory;
    float* panel = memory.get(words * cpu::panel_width(n));
    cpu::pack_transposed(words_of(b), words, words, n, panel);
    const at::Tensor across = at::zeros({words, cpu::ceil_div(m, cpu::kTileRows) * cpu::kTileRows});
    cpu::transpose(words_of(a), words, m, words, across.mutable_data_ptr<float>(), across.size(1));
    const at::Tensor want = at::mm(a.to(at::kDouble), b.to(at::kDouble).t());
    for (const bool is_by_rows : {true, false}) {
      const at::Tensor got = at::full({m, n + 1}, 7.0F);
      cpu::TileProduct product{.arithmetic = cpu::Arithmetic::kHalf,
                               .a = is_by_rows ? words_of(a) : words_of(across),
                               .a_row_stride = is_by_rows ? words : 1,
                               .a_k_stride = is_by_rows ? 1 : across.size(1),
                               .a_group_stride = cpu::kTileRows * (is_by_rows ? words : 1),
                               .panel = panel,
                               .next_panel = panel,
                               .c = got.mutable_data_ptr<float>(),
                               .c_stride = n + 1,
                               .m = m,
                               .n = n,
                               .k = words};
      cpu::tile_product(product);
      product.is_accumulating = true;
      cpu::tile_product(product);
      EXPECT_LT(relative_difference(got.slice(1, 0, n), 2 * want), 1e-5)
          << m << " " << n << " " << words << " by rows: " << is_by_rows;
      EXPECT_TRUE(at::equal(got.select(1, n), at::full({m}, 7.0F))) << "beyond its columns";
    }
  }
}

TEST_P(Cpu, TransposesOfOddSizesAreAtens) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {4, 4}, {16, 7}, {37, 18}}) {
    const at::Tensor x = at::randn({rows, columns + 2}), got = at::full({columns, rows + 3}, 7.0F);
    cpu::transpose(x.const_data_ptr<float>(), columns + 2, rows, columns,
                   got.mutable_data_ptr<float>(), rows + 3);
    EXPECT_TRUE(at::equal(got.slice(1, 0, rows), x.slice(1, 0, columns).t()));
    EXPECT_TRUE(at::equal(got.slice(1, rows), at::full({columns, 3}, 7.0F)));
  }
}

TEST_P(Cpu, ProductSumsTermsAndHandsEachTileOutOnce) {
  // More of K than is packed at once, so that tiles wait in scratch.
  const int64_t m = 101, n = 70, k1 = 4200, k2 = 33;
  const at::Tensor a1 = at::randn({m, k1}), w1 = at::randn({n, k1}), a2 = at::randn({m, k2}),
                   w2 = at::randn({n, k2}).to(at::kBFloat16);
  const cpu::PackedMatrix packed(rows_of(w1), true, k1, n, cpu::Arithmetic::kFloat32);
  const at::Tensor got = at::zeros({m, n}), count = at::zeros({m, n});
  cpu::product(m, n,
               {{.a = rows_of(a1), .packed = &packed, .k = k1},
                {.a = rows_of(a2), .b = rows_of(w2), .is_b_transposed = true, .k = k2}},
               [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
                 for (int64_t i = 0; i < tile.rows; ++i)
                   for (int64_t j = 0; j < tile.columns; ++j) {
                     float* out = got.mutable_data_ptr<float>() + (row + i) * n + column + j;
                     *out = tile.data[i * tile.stride + j];
                     count.mutable_data_ptr<float>()[(row + i) * n + column + j] += 1;
                   }
               });
  EXPECT_TRUE(at::equal(count, at::ones({m, n})));
  const at::Tensor want = at::mm(a1.to(at::kDouble), w1.t().to(at::kDouble)) +
                          at::mm(a2.to(at::kDouble), w2.t().to(at::kDouble));
  EXPECT_LT(relative_difference(got, want), 1e-5);
}

TEST_P(Cpu, HalfRowsAreReadAndRoundedAsAtenDoes) {
  const at::Tensor x = at::randn({3, 37}) * 1e3;
  const at::Tensor half = at::empty({3, 37}, at::kBFloat16);
  cpu::store_rows(tile_of(x), rows_of(half));
  EXPECT_TRUE(at::equal(half, x.to(at::kBFloat16)));
  const at::Tensor back = at::empty({3, 37});
  cpu::load_rows(rows_of(half), tile_of(back));
  EXPECT_TRUE(at::equal(back, half.to(at::kFloat)));
}

TEST_P(Cpu, GeluAndItsDerivativeFollowTheDefinitionToTheTails) {
  const at::Tensor x = at::linspace(-12, 12, 2'001).reshape({3, 667});
  for (const char* name : {"gelu_tanh", "gelu", "quick_gelu", "silu"}) {
    const Activation form = parse_activation(name);
    at::Tensor leaf = x.to(at::kDouble).requires_grad_(true);
    const at::AutoGradMode is_recording(true);
    const at::Tensor want = activate(leaf, form);
    const at::Tensor slope = torch::autograd::grad({want.sum()}, {leaf}).front();
    const at::NoGradGuard no_grad;
    const at::Tensor tile = x.clone(), value = at::empty_like(x);
    cpu::bias_activation(tile_of(tile), nullptr, form, {}, rows_of(value));
    // Absolute: far to the left the value itself goes to zero. 7.1.26's error is 1.5e-7 times
    // |x|/2. The logistic forms' e^x and reciprocal are 3 ulp of 12 together.
    const bool is_gelu = form == Activation::kGeluTanh || form == Activation::kGelu;
    EXPECT_LT((value - want).abs().max().item<double>(), is_gelu ? 1.2e-6 : 2.2e-6) << name;
    const at::Tensor dy = at::ones_like(x), dx = at::empty_like(x), sums = at::zeros({667});
    cpu::activation_backward(tile_of(dy), rows_of(x), form, rows_of(value), rows_of(dx),
                             sums.mutable_data_ptr<float>());
    EXPECT_LT((dx - slope).abs().max().item<double>(), 2e-6) << name;
    EXPECT_LT(relative_difference(sums, slope.sum(0)), 1e-5) << name;
  }
}

TEST_P(Cpu, WeightsThatWouldBeSubnormalAreZero) {
  const at::Tensor scores = at::tensor({0.0F, -86.0F, -87.5F, -95.0F, -1000.0F,
                                        -std::numeric_limits<float>::infinity()})
                                .reshape({1, 6}),
                   weights = at::empty_like(scores);
  const float lse = 0;
  cpu::softmax_by_lse(tile_of(scores), &lse, rows_of(weights));
  EXPECT_LT(relative_difference(weights.slice(1, 0, 2), scores.slice(1, 0, 2).exp()), 1e-6);
  EXPECT_GT(weights[0][1].item<float>(), 0);
  EXPECT_TRUE(at::equal(weights.slice(1, 2), at::zeros({1, 4})));
}

TEST_P(Cpu, NormsEqualTheReference) {
  for (const int64_t columns : {1, 5, 32, 64, 96, 97, 128}) {
    const at::Tensor x = at::randn({4, columns}) + 3, w = at::randn({columns}),
                     b = at::randn({columns});
    const at::Tensor got = at::empty_like(x);
    cpu::norm_forward(rows_of(x), 4, columns, {w.const_data_ptr<float>(), nullptr, 1e-6F, false},
                      0.5F, rows_of(got));
    EXPECT_LT(relative_difference(got, 0.5 * rms_norm(x, w, 1e-6)), 1e-6);
    if (columns == 1) continue;  // centred, a row of one is zero over zero
    cpu::norm_forward(rows_of(x), 4, columns,
                      {w.const_data_ptr<float>(), b.const_data_ptr<float>(), 1e-6F, true}, 1,
                      rows_of(got));
    EXPECT_LT(relative_difference(got, layer_norm(x, w, b, 1e-6)), 1e-5);
  }
}

TEST_P(Cpu, NormsDerivativesEqualTheReferences) {
  constexpr int64_t kRows = 11;
  constexpr float kFactor = 0.5F;
  for (const bool is_centred : {false, true})
    for (const int64_t columns : {5, 16, 32, 64, 96, 97, 128}) {
      const at::Tensor wide = at::randn({kRows, columns + 3}) + 0.5,
                       x = wide.slice(1, 3).detach().requires_grad_(true),
                       w = at::randn({columns}).requires_grad_(true),
                       b = at::randn({columns}).requires_grad_(true),
                       d_y = at::randn({kRows, columns});
      const at::Tensor y =
          kFactor * (is_centred ? layer_norm(x, w, b, 1e-6) : rms_norm(x, w, 1e-6));
      const auto want =
          torch::autograd::grad({y}, {x, w, b}, {d_y}, {}, false, /*allow_unused=*/true);
      const at::Tensor d_x = d_y.clone(), d_w = at::ones({columns}), d_b = at::ones({columns});
      cpu::norm_backward(rows_of(x), tile_of(d_x),
                         {w.const_data_ptr<float>(),
                          is_centred ? b.const_data_ptr<float>() : nullptr, 1e-6F, is_centred},
                         kFactor, d_w.mutable_data_ptr<float>(),
                         is_centred ? d_b.mutable_data_ptr<float>() : nullptr);
      EXPECT_LT(relative_difference(d_x, want[0]), 1e-5) << columns;
      EXPECT_LT(relative_difference(d_w - 1, want[1]), 1e-5) << columns;
      if (!is_centred) continue;
      EXPECT_LT(relative_difference(d_b - 1, want[2]), 1e-5) << columns;
    }
}

TEST_P(Cpu, SumsOfSquaresAreExactBeyondFloat32) {
  for (const int64_t n : {1, 37, 4096, 100003}) {
    const at::Tensor x = at::randn({n}) * 1e20;  // squares overflow float32
    const double want = x.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(cpu::sum_of_squares(n, x.const_data_ptr<float>()) / want, 1, 1e-12);
  }
}

TEST_P(Cpu, AttentionOfHugeLogitsStaysFinite) {
  const int64_t tokens = 600, size = 16;  // two blocks of keys: the maximum moves
  const at::Tensor qkv = at::randn({tokens, 3 * size}) * 30, out = at::empty({tokens, size});
  cpu::attention_forward({.images = 1,
                          .queries = tokens,
                          .tokens = tokens,
                          .heads = 1,
                          .head_size = size,
                          .rows = cpu::columns_of(rows_of(qkv), size)},
                         rows_of(out), nullptr);
  const auto part = [&](int64_t i) {
    return qkv.slice(1, i * size, (i + 1) * size).to(at::kDouble);
  };
  const at::Tensor want = at::mm(at::softmax(at::mm(part(0), part(1).t()) / 4.0, -1), part(2));
  // Logits reach 5,000: their float32 rounding of 2^-12 moves a weight by that share.
  EXPECT_LT(relative_difference(out, want), 5e-3);
}

struct AttentionCase {
  int64_t images, queries, tokens, heads, size;
  bool is_causal = false;
  std::vector<int64_t> lengths;
  bool is_turned = false, is_half = false;
};

RotaryTables rotary_of(const AttentionCase& c) {
  if (!c.is_turned) return {};
  const at::Tensor angles = at::randn({c.tokens, c.size / 2});
  const auto table = [&](const at::Tensor& values) {
    return c.is_half ? at::cat({values, values}, 1) : values.repeat_interleave(2, 1);
  };
  return {table(angles.cos()), table(angles.sin()), c.is_half};
}

void expect_attention(const AttentionCase& c, cpu::Arithmetic arithmetic) {
  const bool is_half = arithmetic == cpu::Arithmetic::kHalf;
  const auto type = is_half ? at::kBFloat16 : at::kFloat;
  const int64_t width = c.heads * c.size;
  const auto rows = [&](int64_t tokens) { return at::randn({c.images * tokens, width}).to(type); };
  const std::vector<at::Tensor> qkv = {rows(c.queries), rows(c.tokens), rows(c.tokens)};
  const at::Tensor d_out = rows(c.queries), weight = at::rand({c.size}) + 0.5;
  AttentionMask mask{.is_causal = c.is_causal};
  if (!c.lengths.empty()) mask.lengths_B = at::tensor(c.lengths, at::kLong);
  const RotaryTables rotary = rotary_of(c);
  const cpu::NormWeights norm{weight.const_data_ptr<float>(), nullptr, 1e-6F, false};
  cpu::AttentionShape shape{.images = c.images,
                            .queries = c.queries,
                            .tokens = c.tokens,
                            .heads = c.heads,
                            .head_size = c.size,
                            .rows = {rows_of(qkv[0]), rows_of(qkv[1]), rows_of(qkv[2])},
                            .q_norm = norm,
                            .k_norm = norm,
                            .is_causal = c.is_causal,
                            .lengths = c.lengths.empty() ? nullptr : c.lengths.data(),
                            .arithmetic = arithmetic};
  if (c.is_turned)
    shape.rotation = {rotary.cos_TK.const_data_ptr<float>(), rotary.sin_TK.const_data_ptr<float>(),
                      c.is_half};
  const at::Tensor out = at::empty_like(d_out), sums = at::zeros({c.size}),
                   lse = at::empty({c.images, c.heads, c.queries});
  const std::vector<at::Tensor> got = {at::empty_like(qkv[0]), at::empty_like(qkv[1]),
                                       at::empty_like(qkv[2])};
  cpu::attention_forward(shape, rows_of(out), lse.mutable_data_ptr<float>());
  cpu::attention_backward(shape, rows_of(out), lse.const_data_ptr<float>(), rows_of(d_out),
                          {rows_of(got[0]), rows_of(got[1]), rows_of(got[2])},
                          {sums.mutable_data_ptr<float>()});

  const at::AutoGradMode is_recording(true);
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& part : qkv) leaves.push_back(part.to(at::kDouble).requires_grad_(true));
  leaves.push_back(weight.to(at::kDouble).requires_grad_(true));
  const auto heads = [&](const at::Tensor& x) {
    return x.view({c.images, -1, c.heads, c.size}).transpose(1, 2);
  };
  const at::Tensor q = rotate(rms_norm(heads(leaves[0]), leaves[3], 1e-6), rotary, 2),
                   k = rotate(rms_norm(heads(leaves[1]), leaves[3].detach(), 1e-6), rotary, 2);
  const at::Tensor scores =
      at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(c.size));
  const at::Tensor p =
      at::softmax(scores.masked_fill(mask.seen(c.queries, c.tokens, at::kCPU).logical_not(),
                                     -std::numeric_limits<double>::infinity()),
                  -1);
  const at::Tensor want = at::matmul(p, heads(leaves[2])).transpose(1, 2).reshape(out.sizes());
  const auto gradients = torch::autograd::grad({want}, leaves, {d_out.to(at::kDouble)});
  // Half: q, k, v, weights, results and their gradients are rounded to 2^-9 each, and a weight
  // is off by what its score is off, which is a share of the score.
  const double bound = is_half ? (6 + scores.abs().max().item<double>()) / 512 : 2e-5;
  EXPECT_LT(relative_difference(out.to(at::kDouble), want.detach()), bound);
  EXPECT_LT(relative_difference(got[2].to(at::kDouble), gradients[2]), bound);
  if (c.tokens == 1) return;  // one weight is 1 whatever its score: no gradient
  EXPECT_LT(relative_difference(got[0].to(at::kDouble), gradients[0]), bound);
  EXPECT_LT(relative_difference(got[1].to(at::kDouble), gradients[1]), bound);
  EXPECT_LT(relative_difference(sums, gradients[3]), 4 * bound);
}

TEST_P(Cpu, AttentionFollowsItsDefinitionInBothArithmetics) {
  const AttentionCase cases[] = {
      {2, 1, 1, 1, 8},
      {1, 7, 7, 3, 5},
      {1, 101, 101, 2, 64},
      {1, 600, 600, 1, 16},
      {.images = 2, .queries = 7, .tokens = 7, .heads = 2, .size = 8, .is_causal = true},
      {.images = 1, .queries = 601, .tokens = 601, .heads = 1, .size = 16, .is_causal = true},
      {.images = 3, .queries = 9, .tokens = 9, .heads = 2, .size = 8, .lengths = {1, 9, 4}},
      {.images = 2, .queries = 600, .tokens = 600, .heads = 1, .size = 8, .lengths = {513, 70}},
      {.images = 2,
       .queries = 130,
       .tokens = 130,
       .heads = 1,
       .size = 8,
       .is_causal = true,
       .lengths = {97, 2}},
      // Queries from elsewhere.
      {.images = 2, .queries = 3, .tokens = 130, .heads = 3, .size = 8},
      {.images = 2, .queries = 201, .tokens = 11, .heads = 1, .size = 24, .lengths = {11, 5}},
      {.images = 2, .queries = 11, .tokens = 11, .heads = 2, .size = 12, .is_turned = true},
      {.images = 1,
       .queries = 200,
       .tokens = 200,
       .heads = 2,
       .size = 72,
       .is_turned = true,
       .is_half = true},
      {.images = 1,
       .queries = 101,
       .tokens = 101,
       .heads = 1,
       .size = 64,
       .is_causal = true,
       .is_turned = true}};
  for (const AttentionCase& c : cases)
    for (const auto arithmetic : {cpu::Arithmetic::kFloat32, cpu::Arithmetic::kHalf}) {
      SCOPED_TRACE(testing::Message()
                   << c.queries << " queries, " << c.tokens << " tokens, causal " << c.is_causal
                   << ", " << c.lengths.size() << " lengths, turned " << c.is_turned << ", half "
                   << (arithmetic == cpu::Arithmetic::kHalf));
      expect_attention(c, arithmetic);
    }
}

TEST_P(Cpu, Bf16WeightsAreRoundedByTheirBits) {
  // No gradient, no decay: AdamW stores the weight as it is. Halfway up, the bits decide.
  constexpr int64_t kCount = 37;
  const at::Tensor zeros = at::zeros({kCount}), v = at::zeros({kCount});
  at::Tensor weight = at::full({kCount}, 1, at::kBFloat16);
  weight[3] = INFINITY;
  std::vector<uint32_t> random(kCount);
  for (size_t i = 0; i < kCount; ++i) random[i] = 0xabcd0000U | (i % 2 == 0 ? 0x8000U : 0x7fffU);
  // decay = 1 + 2^-8: half of bfloat16's distance above 1.
  cpu::adamw_update(kCount, {1, 0.9F, 0.99F, 1, 1e-3F, 0, 1 + 1.0F / 256},
                    zeros.const_data_ptr<float>(),
                    {weight.mutable_data_ptr(), Storage::kBFloat16, random.data()},
                    zeros.mutable_data_ptr<float>(), v.mutable_data_ptr<float>());
  at::Tensor want = at::ones({kCount});
  for (int64_t i = 0; i < kCount; i += 2) want[i] = 1 + 1.0F / 128;
  want[3] = INFINITY;
  EXPECT_TRUE(at::equal(weight.to(at::kFloat), want));
}

TEST_P(Cpu, AdamWUpdateIsTheFormula) {
  const at::Tensor g = at::randn({37}), w = at::randn({37}), m = at::randn({37}),
                   v = at::rand({37});
  const at::Tensor m2 = m * 0.9 + 0.5 * g * 0.1, v2 = v * 0.99 + (0.5 * g).square() * 0.01;
  const at::Tensor want = w * 0.98 - 0.3 * m2 / (v2.sqrt() * 1.5 + 1e-3);
  cpu::adamw_update(37, {0.5F, 0.9F, 0.99F, 1.5F, 1e-3F, 0.3F, 0.98F}, g.const_data_ptr<float>(),
                    {w.mutable_data_ptr()}, m.mutable_data_ptr<float>(),
                    v.mutable_data_ptr<float>());
  EXPECT_LT(relative_difference(w, want), 1e-6);
  EXPECT_LT(relative_difference(m, m2), 1e-6);
  EXPECT_LT(relative_difference(v, v2), 1e-6);
}

}  // namespace
}  // namespace vit22b
