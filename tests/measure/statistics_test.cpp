#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/model_writer.h"
#include "kernels/attention.h"
#include "measure/activation_statistics.h"
#include "measure/weight_statistics.h"
#include "model/initialise.h"
#include "support/files.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::TempFolder;

TEST(WeightStatistics, AreOfEachBlocksParametersAndOfItsMatricesTogether) {
  const test::TinyModel model(test::tiny_config());
  const TempFolder folder;
  FileOps ops;
  Manifest manifest;
  write_model(ops, folder.path(), {model.config, default_pp_eval(model.config), {}}, model.weights,
              manifest);
  const std::vector<BlockWeights> blocks =
      weight_statistics(TensorReader({folder.path()}, model.table), model.table);
  ASSERT_EQ(blocks.size(), 3U);
  double squares = 0, spectral = 0;
  for (const ParameterRow& row : model.table) {
    if (row.unit != block_unit(1)) continue;
    const at::Tensor values = model.weights.at(row.name).to(at::kDouble);
    const auto it = std::find_if(
        blocks[1].parameters.begin(), blocks[1].parameters.end(),
        [&](const ParameterStatistics& parameter) { return parameter.name == row.local_name; });
    ASSERT_NE(it, blocks[1].parameters.end()) << row.name;
    EXPECT_NEAR(it->values.norm(), values.norm().item<double>(), 1e-9) << row.name;
    EXPECT_EQ(std::isnan(it->spectral_norm), values.dim() != 2) << row.name;
    if (values.dim() != 2) continue;
    squares += values.square().sum().item<double>();
    spectral = std::max(spectral, at::linalg_svdvals(values)[0].item<double>());
  }
  EXPECT_NEAR(blocks[1].matrices.norm(), std::sqrt(squares), 1e-9);
  EXPECT_NEAR(blocks[1].spectral_norm, spectral, 1e-5 * spectral);
}

/// What a block shows.
struct Shown {
  QueriesKeys qk{at::randn({2, 3, 5, 4}), at::randn({2, 3, 5, 4})};
  at::Tensor output_BTD = at::randn({2, 5, 6});

  BlockActivations seen() const {
    BlockActivations block;
    block.add({0, qk, output_BTD}, /*prefix_tokens=*/1);
    return block;
  }
};

TEST(BlockActivations, EntropyIsByHeadOverImagesAndQueries) {
  const Shown shown;
  const at::Tensor p = attention_weights(shown.qk.q_BHTK, shown.qk.k_BHTK).to(at::kDouble);
  const at::Tensor want = -(p * p.log()).sum(-1).mean(std::vector<int64_t>{0, 2});
  const BlockActivations block = shown.seen();
  for (int64_t head = 0; head < 3; ++head) {
    EXPECT_NEAR(block.entropy()[static_cast<size_t>(head)], want[head].item<double>(), 1e-6);
    EXPECT_NEAR(block.entropy_share()[static_cast<size_t>(head)],
                want[head].item<double>() / std::log(5), 1e-6);
  }
}

TEST(BlockActivations, BatchesAreOneSetOfImages) {
  const Shown shown;
  BlockActivations parts;
  for (int64_t i = 0; i < 2; ++i)
    parts.add({0,
               {shown.qk.q_BHTK.slice(0, i, i + 1), shown.qk.k_BHTK.slice(0, i, i + 1)},
               shown.output_BTD.slice(0, i, i + 1)},
              1);
  EXPECT_EQ(parts.num_pictures, 2);
  EXPECT_NEAR(parts.entropy()[1], shown.seen().entropy()[1], 1e-9);
  EXPECT_NEAR(parts.values.kurtosis(), shown.seen().values.kurtosis(), 1e-9);
}

// Uniform attention, and one that looks at the same token whoever asks.
TEST(BlockActivations, AHeadThatDoesNotHearTheQueryIsDead) {
  Shown shown;
  shown.qk.q_BHTK *= 4;
  shown.qk.q_BHTK.select(1, 0).zero_();
  shown.qk.q_BHTK.select(1, 2).copy_(at::ones({4}) * 9);
  EXPECT_EQ(shown.seen().dead_heads(), (std::vector<int64_t>{0, 2}));
}

TEST(BlockActivations, ArtefactsAreOfPatchesAlone) {
  Shown shown;
  shown.output_BTD.fill_(1);
  shown.output_BTD.select(1, 0).fill_(50);  // the class token
  shown.output_BTD[1][3].fill_(4);
  const BlockActivations block = shown.seen();
  EXPECT_EQ(block.patches.num_artefacts(), 1);
  EXPECT_EQ(block.patches.num_patches(), 8);
  EXPECT_NEAR(block.patches.largest_ratio(), 4, 1e-6);
  EXPECT_NEAR(block.prefix_norms.mean(), 50 * std::sqrt(6), 1e-4);
}

}  // namespace
}  // namespace vit22b
