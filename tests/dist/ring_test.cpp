#include "dist/ring.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "dist/ring_linear.h"
#include "dist/tensor_cut.h"
#include "dist/threads.h"
#include "kernels/rounding.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::relative_difference;

struct RingCase {
  int64_t ranks;
  RingOptions options;
};

class Ring : public testing::TestWithParam<RingCase> {
 public:
  void on_model_axis(const std::function<void(const Mesh&, int64_t rank)>& act) {
    run_as_threads(GetParam().ranks, [&](const std::shared_ptr<Transport>& transport) {
      Mesh mesh = make_mesh(transport, {1, GetParam().ranks}, /*deadline_s=*/30);
      mesh.ring = GetParam().options;
      act(mesh, transport->rank());
    });
  }
};

TEST_P(Ring, GatherShowsEveryRanksRowsOnceOwnFirst) {
  const int64_t k = GetParam().ranks;
  for (const int64_t rows : {1, 2, 7})
    on_model_axis([&](const Mesh& mesh, int64_t rank) {
      at::Tensor seen = at::zeros({k, rows});
      int64_t first_source = -1;
      ring_gather(
          mesh, at::full({rows, 3}, rank, at::kFloat),
          [&](const RingBlock& block) {
            if (first_source < 0) first_source = block.source;
            EXPECT_TRUE(
                at::equal(block.tensor, at::full({block.rows.count, 3}, block.source, at::kFloat)));
            EXPECT_EQ(block.is_first, block.source == rank);
            seen[block.source].narrow(0, block.rows.first, block.rows.count).add_(1);
          },
          "test");
      EXPECT_EQ(first_source, rank);
      EXPECT_TRUE(at::equal(seen, at::ones({k, rows})));
    });
}

TEST_P(Ring, ReduceSumsEachRanksPartForItsDestination) {
  const int64_t k = GetParam().ranks;
  for (const int64_t rows : {1, 2, 7})
    on_model_axis([&](const Mesh& mesh, int64_t rank) {
      const at::Tensor sum = ring_reduce(
          mesh, {rows, 2},
          [&](const RingPart& part) {
            part.sum.fill_(static_cast<double>(10 * part.destination + rank));
          },
          "test");
      const double want = static_cast<double>(10 * rank * k + k * (k - 1) / 2);
      EXPECT_TRUE(at::equal(sum, at::full({rows, 2}, want))) << rank;
    });
}

// The layer as one process has it, and each rank's parts against its parts.
TEST_P(Ring, LinearLayersAndTheirGradientsEqualOneProcess) {
  const int64_t k = GetParam().ranks, width = 5 * k, rows = 2 * k + 1;
  const at::Tensor x = at::randn({2, 3, width}), w = at::randn({rows, width}),
                   w2 = at::randn({width, rows}), w3 = at::randn({width, 3 * k}),
                   dy = at::randn({2, 3, width});
  at::Tensor x_ = x.clone().requires_grad_(true), w_ = w.clone().requires_grad_(true),
             w2_ = w2.clone().requires_grad_(true), w3_ = w3.clone().requires_grad_(true),
             e = at::randn({2, 3, 3 * k});
  at::Tensor e_ = e.clone().requires_grad_(true);
  const at::Tensor hidden = at::linear(x_, w_).tanh();
  const at::Tensor y = at::linear(hidden, w2_) + at::linear(e_, w3_);
  const auto want = torch::autograd::grad({y}, {x_, w_, w2_, w3_, e_}, {dy});
  on_model_axis([&](const Mesh& mesh, int64_t rank) {
    const MeshPlace place = place_of(mesh);
    const auto part = [&](const at::Tensor& whole, int64_t dim) {
      return part_of(
                 whole.detach(),
                 {.shape = whole.sizes().vec(), .model_dim = dim, .sections = {whole.size(dim)}},
                 place)
          .clone();
    };
    std::vector<at::Tensor> leaves = {part(x, 2), part(w, 0), part(w2, 1), part(w3, 1), part(e, 2)};
    for (at::Tensor& leaf : leaves) leaf.requires_grad_(true);
    const at::Tensor got_y = column_linear(
        mesh, {{row_linear(mesh, leaves[0], leaves[1]).tanh(), leaves[2]}, {leaves[4], leaves[3]}});
    // Two products of up to 56 terms in another order: a few tens of float32's 6e-8.
    EXPECT_LT(relative_difference(got_y, part(y, 2)), 5e-6) << rank;
    const auto got = torch::autograd::grad({got_y}, leaves, {part(dy, 2)});
    const int64_t dims[] = {2, 0, 1, 1, 2};
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_LT(relative_difference(got[i], part(want[i], dims[i])), 5e-6) << i;
  });
}

TEST_P(Ring, BytesAreTheFormulas) {
  const int64_t k = GetParam().ranks, tokens = 6, width = 4 * k;
  on_model_axis([&](const Mesh& mesh, int64_t) {
    Communicator& ranks = mesh.along(MeshAxis::kModel);
    at::Tensor x = at::randn({tokens, 4}).requires_grad_(true),
               w = at::randn({3, width}).requires_grad_(true);
    // Row sharding: (k - 1) n / k numbers a token forward, as many for the input's gradient.
    const int64_t before = ranks.bytes_sent();
    const at::Tensor y = row_linear(mesh, x, w);
    const int64_t forward = ranks.bytes_sent() - before;
    torch::autograd::grad({y.sum()}, {x, w});
    const int64_t backward = ranks.bytes_sent() - before - forward;
    EXPECT_EQ(forward, (k - 1) * width / k * tokens * 4);
    EXPECT_EQ(backward, forward);
  });
}

std::vector<RingCase> ring_cases() {
  std::vector<RingCase> cases;
  for (const int64_t ranks : {1, 2, 3, 4, 6, 8})
    for (const bool is_asynchronous : {true, false})
      for (const bool is_two_way : {false, true})
        cases.push_back({ranks, {is_asynchronous, is_two_way}});
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Shapes, Ring, testing::ValuesIn(ring_cases()));

TEST(RingLinear, BFloat16PartsAreSummedInFloat32) {
  const int64_t k = 4, width = 64;
  const at::Tensor x = at::randn({5, width}).to(at::kBFloat16),
                   w = at::randn({8, width}).to(at::kBFloat16).to(at::kFloat);
  const at::Tensor exact = at::matmul(x.to(at::kDouble), w.to(at::kDouble).t());
  run_as_threads(k, [&](const std::shared_ptr<Transport>& transport) {
    const Mesh mesh = make_mesh(transport, {1, k}, 30);
    const int64_t rank = transport->rank(), part = width / k;
    const at::Tensor y = row_linear(mesh, x.narrow(1, rank * part, part).contiguous(),
                                    w.narrow(0, 2 * rank, 2).contiguous());
    // One rounding to bfloat16 at the end: half an ulp, at most 2^-8 of the value.
    const at::Tensor want = exact.narrow(1, 2 * rank, 2);
    EXPECT_TRUE(
        ((y.to(at::kDouble) - want).abs() <= want.abs() * 0.00391 + 1e-5).all().item<bool>());
  });
}

}  // namespace
}  // namespace vit22b
