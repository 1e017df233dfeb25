#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/attention.h"
#include "kernels/attention_pair.h"
#include "kernels/rounding.h"
#include "support/device.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::relative_difference;

at::Tensor randn(at::IntArrayRef sizes) {
  return at::randn(sizes).to(test::device());
}
at::Tensor rand(at::IntArrayRef sizes) {
  return at::rand(sizes).to(test::device());
}
at::Tensor ones(at::IntArrayRef sizes) {
  return at::ones(sizes, test::device());
}
at::Tensor full(at::IntArrayRef sizes, float value, at::ScalarType type = at::kFloat) {
  return at::full(sizes, value, at::TensorOptions(test::device()).dtype(type));
}

/// The kernels of src/kernels/cuda, emulated or on a GPU, against the same operations in ATen;
/// activations of both storage types.
class CudaKernels : public testing::TestWithParam<at::ScalarType> {
 protected:
  /// Rounding of the storage type, twice where the two may round to different sides.
  double bound() const { return GetParam() == at::kFloat ? 1e-5 : 2.0 / 256; }
  at::Tensor random(at::IntArrayRef sizes) const { return randn(sizes).to(GetParam()); }

  void expect_near(const at::Tensor& got, const at::Tensor& want) const {
    ASSERT_EQ(got.scalar_type(), want.scalar_type());
    EXPECT_LT(relative_difference(got, want), bound());
  }
  /// Sums are float32 whatever is stored, but of values that were rounded.
  void expect_sums(const at::Tensor& got, const at::Tensor& want) const {
    EXPECT_LT(relative_difference(got, want), GetParam() == at::kFloat ? 1e-5 : 1e-2);
  }

  const at::NoGradGuard no_grad_;
  const std::unique_ptr<DeviceOps> aten_ = make_aten_ops();
  const DeviceOps& cuda_ = test::gpu_ops();
};

INSTANTIATE_TEST_SUITE_P(Storage, CudaKernels, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& p) {
                           return std::string(p.param == at::kFloat ? "fp32" : "bf16");
                         });

TEST_P(CudaKernels, NormsAndTheirDerivativesEqualAtens) {
  // In registers of part of a warp, of a warp and of several; wide loads and single ones; fewer and
  // more rows than blocks; several rounds of a block's threads.
  for (const auto& [rows, columns] : {std::pair{1, 1},
                                      {3, 37},
                                      {5, 64},
                                      {700, 24},
                                      {4, 256},
                                      {3, 1032},
                                      {600, 12},
                                      {2, 2052},
                                      {2, 8200}})
    for (const bool is_layer_norm : {false, true}) {
      const NormSpec spec{randn({columns}), is_layer_norm ? randn({columns}) : at::Tensor(), 1e-6,
                          is_layer_norm};
      const at::Tensor x = random({rows, columns}) + 1, d_y = random({rows, columns}),
                       residual = randn({rows, columns});
      expect_near(cuda_.norm(x, spec, GetParam()), aten_->norm(x, spec, GetParam()));
      EXPECT_LT(relative_difference(cuda_.norm(x, spec, at::kBFloat16),
                                    aten_->norm(x, spec, at::kBFloat16)),
                2.0 / 256);
      const auto run = [&](const DeviceOps& ops) {
        const NormSums sums{ones({columns}), is_layer_norm ? ones({columns}) : at::Tensor()};
        return std::pair(ops.norm_backward(d_y, x, spec, residual, sums), sums);
      };
      const auto [got, got_sums] = run(cuda_);
      const auto [want, want_sums] = run(*aten_);
      EXPECT_LT(relative_difference(got, want), 1e-5) << rows << " x " << columns;
      EXPECT_LT(relative_difference(got_sums.weight, want_sums.weight), 1e-5);
      if (is_layer_norm) {
        EXPECT_LT(relative_difference(got_sums.bias, want_sums.bias), 1e-5);
      }
    }
}

TEST_P(CudaKernels, HeadsAreSplitNormalisedAndJoinedAsAtensAre) {
  struct Case {
    int64_t images, tokens, heads, size;
    bool has_norm, is_layer_norm;
    int64_t before = 8;  // columns of a row before the heads
  };
  // Heads in a lane, in lanes that are no power of two, in a warp and wider than that; more heads
  // than a block has lanes for; more rows than blocks; rows that begin off their alignment.
  for (const Case& c : {Case{1, 1, 1, 1, true, false}, Case{2, 19, 3, 16, true, false},
                        Case{2, 19, 3, 16, true, true, 4}, Case{1, 7, 2, 33, true, true},
                        Case{2, 5, 2, 128, true, true}, Case{2, 5, 3, 8, false, false},
                        Case{3, 200, 3, 8, true, true}, Case{2, 3, 5, 80, true, true},
                        Case{1, 4, 37, 64, true, false}, Case{1, 3, 2, 256, true, true},
                        Case{1, 3, 2, 264, true, true}}) {
    const auto spec = [&] {
      if (!c.has_norm) return NormSpec{};
      return NormSpec{randn({c.size}), c.is_layer_norm ? randn({c.size}) : at::Tensor(), 1e-6,
                      c.is_layer_norm};
    };
    const NormSpec q_norm = spec(), k_norm = spec();
    // Columns of a wider matrix, as the parallel block's projection has them.
    const int64_t width = 3 * c.heads * c.size, before = c.before;
    const auto heads = [&](const at::Tensor& rows) {
      return rows.narrow(1, before, width)
          .unflatten(1, {3, c.heads, c.size})
          .unflatten(0, {c.images, c.tokens});
    };
    const at::Tensor qkv = heads(random({c.images * c.tokens, before + width}));
    const QkvHeads got = cuda_.split_heads(qkv, {q_norm, k_norm}),
                   want = aten_->split_heads(qkv, {q_norm, k_norm});
    expect_near(got.q, want.q);
    expect_near(got.k, want.k);
    EXPECT_TRUE(at::equal(got.v, want.v));
    const QkvHeads gradients{random(want.q.sizes()), random(want.q.sizes()),
                             random(want.q.sizes())};
    const auto run = [&](const DeviceOps& ops) {
      const at::Tensor d_rows = full({c.images * c.tokens, before + width}, 7, GetParam());
      const auto sums = [&](const NormSpec& s) {
        return NormSums{s.weight.defined() ? ones({c.size}) : at::Tensor(),
                        s.bias.defined() ? ones({c.size}) : at::Tensor()};
      };
      const NormSums q_sums = sums(q_norm), k_sums = sums(k_norm);
      ops.split_heads_backward(gradients, qkv, {q_norm, k_norm}, heads(d_rows), {q_sums, k_sums});
      return std::tuple(d_rows, q_sums, k_sums);
    };
    const auto [d_got, q_got, k_got] = run(cuda_);
    const auto [d_want, q_want, k_want] = run(*aten_);
    // Heads of one value: a norm's derivative is zero, and each side gives its roundings.
    if (c.size > 1) expect_near(d_got, d_want);
    EXPECT_TRUE(
        at::equal(d_got.narrow(1, 0, before), full({c.images * c.tokens, before}, 7, GetParam())));
    if (c.has_norm) expect_sums(q_got.weight, q_want.weight);
    if (c.is_layer_norm) expect_sums(k_got.bias, k_want.bias);
  }
}

TEST_P(CudaKernels, GeluAndBranchesEqualAtens) {
  for (const auto& [rows, columns] : {std::pair{1, 3}, {700, 8}, {37, 1030}})
    for (const Activation form :
         {Activation::kGeluTanh, Activation::kGelu, Activation::kQuickGelu, Activation::kSilu}) {
      const bool is_full = form == Activation::kGeluTanh || form == Activation::kSilu;
      const at::Tensor wide = random({rows, columns + 4}) * 3, pre = wide.narrow(1, 0, columns),
                       d = random({rows, columns}),
                       vector = is_full ? randn({columns}) : at::Tensor();
      expect_near(cuda_.bias_activation(pre, vector, form),
                  aten_->bias_activation(pre, vector, form));
      const auto back = [&](const DeviceOps& ops) {
        const at::Tensor d_pre = at::empty_like(wide).narrow(1, 4, columns);
        const at::Tensor sums = ones({columns});
        const at::Tensor activation = ops.activation_backward(d, pre, vector, form, d_pre, sums);
        return std::tuple(activation, d_pre, sums);
      };
      const auto [activation, d_pre, sums] = back(cuda_);
      const auto [want_activation, want_d_pre, want_sums] = back(*aten_);
      expect_near(activation, want_activation);
      expect_near(d_pre, want_d_pre);
      EXPECT_LT(relative_difference(sums, want_sums), 1e-4);

      const at::Tensor gates = random({rows, columns + 4}).narrow(1, 4, columns);
      expect_near(cuda_.gated_activation({pre, vector, gates}, form),
                  aten_->gated_activation({pre, vector, gates}, form));
      const auto gated_back = [&](const DeviceOps& ops) {
        const at::Tensor both = at::empty({rows, 2 * columns}, pre.options());
        const GatedGradients to{both.narrow(1, columns, columns), both.narrow(1, 0, columns),
                                ones({columns}), is_full ? ones({columns}) : at::Tensor()};
        const at::Tensor hidden = ops.gated_backward(d, {pre, vector, gates}, form, to);
        return std::tuple(hidden, both, to.bias_sums_M, to.gate_sums_M);
      };
      const auto [hidden, of_both, pre_sums, gate_sums] = gated_back(cuda_);
      const auto [want_hidden, want_of_both, want_pre_sums, want_gate_sums] = gated_back(*aten_);
      expect_near(hidden, want_hidden);
      expect_near(of_both, want_of_both);
      EXPECT_LT(relative_difference(pre_sums, want_pre_sums), 1e-4);
      if (is_full) {
        EXPECT_LT(relative_difference(gate_sums, want_gate_sums), 1e-4);
      }

      const at::Tensor residual = random({rows, columns}), branch = random({rows, columns}),
                       gradient = randn({rows, columns});
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const at::Tensor of_type = branch.to(type);
        expect_near(cuda_.add_branch(residual, of_type, vector),
                    aten_->add_branch(residual, of_type, vector));
      }
      const auto branch_back = [&](const DeviceOps& ops) {
        const at::Tensor bias_sums = ones({columns}),
                         scale_sums = is_full ? ones({columns}) : at::Tensor();
        const at::Tensor d_branch =
            ops.branch_backward(gradient, branch, vector, GetParam(), bias_sums, scale_sums);
        return std::tuple(d_branch, bias_sums, scale_sums);
      };
      const auto [d_branch, bias_sums, scale_sums] = branch_back(cuda_);
      const auto [want_d_branch, want_bias_sums, want_scale_sums] = branch_back(*aten_);
      expect_near(d_branch, want_d_branch);
      EXPECT_LT(relative_difference(bias_sums, want_bias_sums), 1e-5);
      if (is_full) {
        EXPECT_LT(relative_difference(scale_sums, want_scale_sums), 1e-5);
      }
    }
}

// GetParam() is how the weight is stored.
TEST_P(CudaKernels, UpdatesEqualAtensAndRoundByTheSameBits) {
  // Parts of wider and longer tensors, of which kernels may take four values at a time or not.
  const std::vector<PartLayout> layouts = {
      {},
      {.columns = 50, .whole_columns = 101, .first_column = 51, .num_ranges = 1},
      {.columns = 1028, .whole_columns = 2056, .first_column = 1028, .num_ranges = 1},
      {.columns = 1028,
       .whole_columns = 1028,
       .num_ranges = 3,
       .rows = {{0, 7}, {9, 50}, {100, 90}}}};
  for (const auto& [rows, columns, layout] : {std::tuple{1, 1, 0},
                                              {37, 50, 0},
                                              {37, 50, 1},
                                              {130, 1028, 0},
                                              {130, 1028, 2},
                                              {130, 1028, 3}}) {
    const RoundingBits rng{CounterRng(3, "rounding", "w"), layouts[static_cast<size_t>(layout)]};
    const at::Tensor scale = full({1}, 0.5F), gradient = randn({rows, columns});
    const at::Tensor weight = random({rows, columns});
    // A weight's update is rounded by the same bits on both sides, so it differs only where the
    // float32 results do, by one place of bfloat16.
    const auto expect_weights = [&](const at::Tensor& got, const at::Tensor& want) {
      if (GetParam() == at::kFloat) return expect_near(got, want);
      const at::Tensor differ = got.ne(want);
      EXPECT_LT(differ.sum().item<int64_t>(), 2 + weight.numel() / 500);
      EXPECT_LT(relative_difference(got, want), bound());
    };
    const at::Tensor m0 = randn({rows, columns}), v0 = rand({rows, columns});
    const auto adamw = [&](const DeviceOps& ops, const at::Tensor& by) {
      std::tuple state(weight.clone(), m0.clone(), v0.clone());
      ops.adamw_update(
          {.correction1 = 0.19, .correction2 = 0.002, .learning_rate = 0.01, .weight_decay = 0.1},
          by, rng, {gradient, std::get<0>(state), std::get<1>(state), std::get<2>(state)});
      return state;
    };
    const auto [w, m, v] = adamw(cuda_, scale);
    const auto [want_w, want_m, want_v] = adamw(*aten_, scale);
    expect_weights(w, want_w);
    EXPECT_LT(relative_difference(m, want_m), 1e-6);
    EXPECT_LT(relative_difference(v, want_v), 1e-6);

    const auto [by_row, by_column] = cuda_.square_sums(gradient, scale);
    EXPECT_LT(relative_difference(by_row, (gradient * scale).square().sum(1)), 1e-5);
    EXPECT_LT(relative_difference(by_column, (gradient * scale).square().sum(0)), 1e-5);

    const at::Tensor m16 = m0.to(at::kBFloat16);
    const auto adafactor = [&](const DeviceOps& ops, const at::Tensor& by, bool is_factored) {
      std::pair state(weight.clone(), m16.clone());
      ops.adafactor_update(
          {.learning_rate = 0.01, .weight_decay = 0.1}, by, rng,
          {gradient, is_factored ? v0.select(1, 0).contiguous() : at::Tensor(),
           is_factored ? v0.select(0, 0).contiguous() : at::Tensor(), state.first, state.second});
      return state;
    };
    for (const bool is_factored : {false, true}) {
      const auto got = adafactor(cuda_, scale, is_factored),
                 want = adafactor(*aten_, scale, is_factored);
      // The momentum is rounded to bfloat16, which may fall to either side; the weight follows what
      // was kept.
      const at::Tensor differ = got.second.ne(want.second);
      EXPECT_LT(differ.sum().item<int64_t>(), 2 + weight.numel() / 500);
      EXPECT_LT(relative_difference(got.second, want.second), 1.0 / 128);
      if (GetParam() == at::kFloat)
        expect_near(got.first,
                    want.first - 0.01 * (got.second.to(at::kFloat) - want.second.to(at::kFloat)));
      else
        expect_weights(got.first, want.first);
    }
    for (const float bad : {std::nanf(""), INFINITY}) {
      const at::Tensor by = full({1}, bad);
      EXPECT_TRUE(at::equal(std::get<0>(adamw(cuda_, by)), weight));
      EXPECT_TRUE(at::equal(std::get<1>(adamw(cuda_, by)), m0));
      EXPECT_TRUE(at::equal(adafactor(cuda_, by, true).first, weight));
      EXPECT_TRUE(at::equal(adafactor(cuda_, by, true).second, m16));
    }
  }
}

TEST(KernelOps, RefuseWhatTheyCannotWalk) {
  try {
    test::gpu_ops().norm(randn({4, 4}).t(), {ones({4}), {}, 1e-6, false}, at::kFloat);
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "cuda kernels: want dense rows");
  }
}

TEST(DeviceOps, WithoutAGpuAreAtens) {
  EXPECT_STREQ(device_ops(at::kCPU).name(), "aten");
}

/// The pair against the plain formula in float32, of what heads of a storage type hold.
void expect_attention(at::ScalarType type, int64_t tokens, int64_t size, int64_t begin) {
  SCOPED_TRACE(testing::Message() << type << " " << tokens << " tokens, heads of " << size
                                  << " behind " << begin);
  const auto heads_of_rows = [&] {
    return randn({2, tokens, begin + 3 * size}).to(type).slice(2, begin).unflatten(2, {3, size});
  };
  const QkvHeads heads{heads_of_rows(), heads_of_rows(), heads_of_rows()};
  const at::Tensor d_out = heads_of_rows();
  const auto exact = [](const at::Tensor& x) {
    return x.to(at::kFloat).transpose(1, 2).contiguous().requires_grad_(true);
  };
  const at::Tensor q = exact(heads.q), k = exact(heads.k), v = exact(heads.v);
  at::Tensor want;
  std::vector<at::Tensor> gradients;
  {
    const at::AutoGradMode is_recording(true);
    want = at::matmul(attention_weights(q, k), v);
    gradients = torch::autograd::grad({want}, {q, k, v}, {d_out.to(at::kFloat).transpose(1, 2)});
  }
  const at::NoGradGuard no_grad;
  const double bound = type == at::kFloat ? 1e-4 : 2e-2;
  const auto difference = [](const at::Tensor& got, const at::Tensor& exact_BHTK) {
    // Of one token the gradients of q and k are zero.
    constexpr double kSmall = 0.1;
    const at::Tensor exact_BTHK = exact_BHTK.transpose(1, 2);
    return (got.to(at::kFloat) - exact_BTHK).abs().max().item<double>() /
           std::max(kSmall, exact_BTHK.abs().max().item<double>());
  };
  AttentionTape tape;
  EXPECT_LT(difference(attention_pair_forward(heads, {}, &tape), want.detach()), bound);
  EXPECT_LT(difference(attention_pair_forward(heads, {}, nullptr), want.detach()), bound);
  const QkvHeads got = attention_pair_backward(heads, {}, tape, d_out);
  EXPECT_LT(difference(got.q, gradients[0]), bound);
  EXPECT_LT(difference(got.k, gradients[1]), bound);
  EXPECT_LT(difference(got.v, gradients[2]), bound);
}

TEST(AttentionPair, EqualsAttentionAndItsGradient) {
  for (const auto& [tokens, size, begin] : {std::tuple{1, 8, 0},
                                            {19, 16, 0},
                                            {130, 33, 0},
                                            {19, 16, 6},
                                            {7, 4, 30},
                                            {257, 88, 0},
                                            {200, 64, 8},
                                            {50, 128, 0}}) {
    expect_attention(at::kFloat, tokens, size, begin);
    if (!test::device().is_cpu()) expect_attention(at::kBFloat16, tokens, size, begin);
  }
}

// So that a run that goes on from a checkpoint makes the same steps.
TEST(AttentionPair, GivesTheSameBitsAgain) {
  const at::NoGradGuard no_grad;
  for (const int64_t tokens : {50, 200, 257, 1025})
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      if (type == at::kBFloat16 && test::device().is_cpu()) continue;
      const auto rows = [&] { return randn({2, tokens, 3, 64}).to(type); };
      const QkvHeads heads{rows(), rows(), rows()};
      const at::Tensor d_out = rows();
      const auto run = [&] {
        AttentionTape tape;
        at::Tensor out = attention_pair_forward(heads, {}, &tape);
        const QkvHeads back = attention_pair_backward(heads, {}, tape, d_out);
        return std::vector{out, back.q, back.k, back.v};
      };
      const std::vector<at::Tensor> first = run();
      for (int again = 0; again < 5; ++again) {
        const std::vector<at::Tensor> next = run();
        for (size_t i = 0; i < first.size(); ++i)
          EXPECT_TRUE(at::equal(first[i], next[i])) << tokens << " " << type << " " << i;
      }
    }
}

// The reference engine's, whose gradient may begin anywhere.
TEST(AttentionPair, IsDifferentiatedWhereverTensorsBegin) {
  const auto rows = [](int64_t begin) {
    return randn({2, 7, begin + 12}).slice(2, begin).unflatten(2, {3, 4}).transpose(1, 2);
  };
  for (const int64_t begin : {0, 2, 30}) {
    const at::Tensor q = rows(begin).requires_grad_(true), k = rows(begin).requires_grad_(true),
                     v = rows(begin).requires_grad_(true), d_out = rows(begin);
    const auto differentiated = [&](const at::Tensor& out) {
      return torch::autograd::grad({out}, {q, k, v}, {d_out});
    };
    const at::AutoGradMode is_recording(true);
    const auto got = differentiated(attention(q, k, v)),
               want = differentiated(at::matmul(attention_weights(q, k), v));
    for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_difference(got[i], want[i]), 1e-4) << begin;
  }
}

TEST(StochasticRounding, HasTheValueAsItsMeanAndKeepsWhatIsExact) {
  const RoundingBits bits{CounterRng(1, "rounding", "t")};
  constexpr int64_t kCount = 40'000;
  const float low = 1.0F, step = 1.0F / 128;  // bfloat16's distance at 1
  const at::Tensor rounded = round_stochastically(at::full({kCount}, low + 0.3F * step), bits);
  const at::Tensor ups = rounded.to(at::kFloat).ne(low);
  EXPECT_TRUE(at::equal(rounded.to(at::kFloat).masked_select(ups),
                        at::full({ups.sum().item<int64_t>()}, low + step)));
  // 4 sigma of a share of 0.3 over 40,000 draws.
  EXPECT_NEAR(ups.to(at::kFloat).mean().item<double>(), 0.3, 4 * std::sqrt(0.21 / kCount));
  const at::Tensor exact = at::tensor({0.0F, -1.5F, INFINITY, -INFINITY, 3.0F, -0.0F});
  EXPECT_TRUE(at::equal(round_stochastically(exact, bits), exact.to(at::kBFloat16)));
  EXPECT_TRUE(
      at::isnan(round_stochastically(at::full({9}, std::nanf("")), bits)).all().item<bool>());
}

}  // namespace
}  // namespace vit22b
