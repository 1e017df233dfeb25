#include "dist/tensor_cut.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/threads.h"
#include "kernels/rounding.h"
#include "support/files.h"

namespace vit22b {
namespace {

/// Every element of a place's part is rounded by its bits in the whole, wherever a reader begins.
void expect_bits_of_the_whole(const TensorCut& cut, const MeshPlace& place) {
  const int64_t elements = c10::multiply_integers(cut.shape);
  const at::Tensor indices =
      part_of(at::arange(elements, at::kLong).view(cut.shape), cut, place).contiguous();
  const auto* index = indices.const_data_ptr<int64_t>();
  const RoundingBits bits{CounterRng(5, "rounding.3", "w"), part_layout(cut, place)};
  for (const int64_t first : {0, 1, 11}) {
    std::vector<uint32_t> got(static_cast<size_t>(std::max<int64_t>(0, indices.numel() - first)));
    bits.fill(got, first);
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(got[i],
                bits.rng.bits(static_cast<uint64_t>(index[first + static_cast<int64_t>(i)])))
          << i;
  }
}

TEST(TensorCut, PartsOfEveryPlaceMakeTheWholeAgain) {
  const std::vector<TensorCut> cuts = {
      {.shape = {29, 6}, .model_dim = 0, .sections = {12, 7, 10}, .data_dim = 0},
      // A gated parallel block's in-projection.
      {.shape = {43, 3}, .model_dim = 0, .sections = {11, 11, 7, 7, 7}, .data_dim = 0},
      {.shape = {29, 6}, .model_dim = 1, .sections = {6}, .data_dim = 0},
      {.shape = {29, 6}, .data_dim = 0},
      {.shape = {1, 9, 6}, .model_dim = 2, .sections = {6}, .data_dim = 1},
      {.shape = {9, 2, 6}, .model_dim = 0, .sections = {9}, .data_dim = 0},
      {.shape = {7}, .model_dim = 0, .sections = {7}},
      {.shape = {1, 1, 13}, .model_dim = 2, .sections = {13}, .data_dim = 2},
      {.shape = {1, 1, 13}, .model_dim = 2, .sections = {13}},
      {.shape = {3, 3}}};
  for (const TensorCut& cut : cuts) {
    const at::Tensor whole = at::randn(cut.shape);
    for (const auto& [data, model] : {std::pair{1, 1}, {2, 1}, {1, 3}, {2, 2}, {3, 4}, {5, 2}}) {
      at::Tensor again = at::full_like(whole, std::nan("")), copies = at::zeros_like(whole);
      int64_t elements = 0;
      for (int64_t d = 0; d < data; ++d)
        for (int64_t m = 0; m < model; ++m) {
          const MeshPlace place{d, data, m, model};
          const at::Tensor part = part_of(whole, cut, place);
          EXPECT_EQ(part.sizes(), at::IntArrayRef(part_shape(cut, place)));
          paste_part(part, cut, place, again);
          expect_bits_of_the_whole(cut, place);
          elements += part.numel();
        }
      EXPECT_TRUE(at::equal(again, whole));
      const int64_t copies_made = (cut.data_dim < 0 ? data : 1) * (cut.model_dim < 0 ? model : 1);
      EXPECT_EQ(elements, whole.numel() * copies_made);
    }
  }
}

// One class on one model rank: the axis that does not cut leaves the columns to the other.
TEST(TensorCut, AnAxisOfOneRankDoesNotCut) {
  const TensorCut cut{.shape = {1, 9}, .model_dim = 0, .sections = {1}, .data_dim = 1};
  for (int64_t data = 0; data < 2; ++data)
    expect_bits_of_the_whole(cut, {.data = data, .num_data = 2});
}

void on_mesh(MeshShape shape, const std::function<void(const Mesh&)>& act) {
  run_as_threads(shape.data * shape.model, [&](const std::shared_ptr<Transport>& transport) {
    act(make_mesh(transport, shape, /*deadline_s=*/30));
  });
}

/// This rank's part of a tensor of ones.
TensorPart ones_of(const TensorCut& cut, const Mesh& mesh) {
  return {cut, at::ones(part_shape(cut, place_of(mesh)))};
}

TEST(AgreeOnCuts, ACutThatDiffersIsNamedOnEveryRankBeforeAnythingMoves) {
  std::atomic<int> told = 0;
  on_mesh({2, 2}, [&](const Mesh& mesh) {
    const bool is_odd = mesh.share(MeshAxis::kModel, 2).first == 1;
    const TensorCut plain{.shape = {6, 4}, .data_dim = 0},
        other{.shape = {6, 4}, .data_dim = is_odd ? 1 : 0};
    EXPECT_NO_THROW(agree_on_cuts({{"a", ones_of(plain, mesh)}}, mesh));
    const std::string text = test::error_of<InternalError>([&] {
      agree_on_cuts({{"a", ones_of(plain, mesh)}, {"head.weight", ones_of(other, mesh)}}, mesh);
    });
    EXPECT_TRUE(text.starts_with("ranks cut a tensor differently: rank 0 has head.weight [6, 4] "))
        << text;
    EXPECT_NE(text.find("; rank 1 has head.weight [6, 4] "), std::string::npos) << text;
    ++told;
  });
  EXPECT_EQ(told, 4);
}

TEST(AgreeOnCuts, APartOfAnotherShapeOrATensorMoreIsADifference) {
  on_mesh({2, 1}, [](const Mesh& mesh) {
    const bool is_second = mesh.share(MeshAxis::kData, 2).first == 1;
    const TensorCut cut{.shape = {6, 4}, .data_dim = 0};
    TensorPart misshapen = ones_of(cut, mesh);
    if (is_second) misshapen.part = at::ones({6, 2});
    EXPECT_NE(test::error_of<InternalError>([&] {
                agree_on_cuts({{"a", misshapen}}, mesh);
              }).find("of which a part has [6, 2]"),
              std::string::npos);
    PartList list = {{"a", ones_of(cut, mesh)}};
    if (is_second) list.emplace_back("b", ones_of(cut, mesh));
    EXPECT_NE(test::error_of<InternalError>([&] {
                agree_on_cuts(list, mesh);
              }).find("rank 0 has nothing more; rank 1 has b "),
              std::string::npos);
  });
}

TEST(GatherWhole, ARankThatNeitherSendsNorReceivesLeavesItsPartWhereItIs) {
  on_mesh({3, 1}, [](const Mesh& mesh) {
    const TensorCut copies{.shape = {5}};
    const bool is_receiver = mesh.share(MeshAxis::kData, 3).first == 1;
    // A tensor without memory cannot be brought to the host.
    const at::Tensor part =
        is_receiver ? at::arange(5, at::kFloat) : at::empty({5}, at::TensorOptions(at::kMeta));
    const at::Tensor whole = gather_whole({copies, part}, /*to=*/1, mesh, "x");
    EXPECT_EQ(whole.defined(), is_receiver);
  });
}

}  // namespace
}  // namespace vit22b
