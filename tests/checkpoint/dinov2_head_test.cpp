#include "checkpoint/import/dinov2_head.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "model/dense/dense_head.h"
#include "support/files.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::TempFolder;

/// A published head over some blocks of a tiny model, every value random.
NamedTensors published(int64_t classes, int64_t width) {
  at::manual_seed(7);
  return {{"decode_head.conv_seg.weight", at::randn({classes, width, 1, 1})},
          {"decode_head.conv_seg.bias", at::randn({classes})},
          {"decode_head.bn.weight", at::rand({width}) + 0.5},
          {"decode_head.bn.bias", at::randn({width})},
          {"decode_head.bn.running_mean", at::randn({width})},
          {"decode_head.bn.running_var", at::rand({width}) + 0.5},
          {"decode_head.bn.num_batches_tracked", at::zeros({}, at::kLong)}};
}

std::filesystem::path written(const TempFolder& folder, const NamedTensors& tensors) {
  FileOps ops;
  TensorList list(tensors.begin(), tensors.end());
  write_safetensors(ops, folder / "head.safetensors", list, {});
  return folder / "head.safetensors";
}

// What mmsegmentation's BNHead says of blocks' outputs behind the whole final norm.
TEST(Dinov2Head, SaysWhatBatchNormAndConvolutionSayBehindTheFinalNorm) {
  TempFolder folder;
  ViTConfig model = test::tiny_config("serial");
  model.depth = 3;
  const int64_t width = model.embed_dim;
  const NamedTensors norm = {{"norm.weight", at::rand({width}) + 0.5},
                             {"norm.bias", at::randn({width})}};
  for (const int64_t blocks : {1, 3}) {
    const NamedTensors head = published(5, blocks * width);
    const ImportedHead own = read_dinov2_head(written(folder, head), model, norm, {});
    EXPECT_EQ(own.info.head.layers, blocks == 1 ? "2" : "0,1,2");
    EXPECT_EQ(own.info.num_classes(), 5);
    // Here blocks below the last have no scale and bias, and the last one has.
    std::vector<at::Tensor> bare, whole;
    for (int64_t i = 0; i < blocks; ++i) {
      const at::Tensor x = at::layer_norm(at::randn({2, 3, 4, width}), {width});
      whole.push_back(x * norm.at("norm.weight") + norm.at("norm.bias"));
      bare.push_back(i + 1 == blocks ? whole.back() : x);
    }
    const auto of = [&](const char* name) { return head.at(concat("decode_head.", name)); };
    const at::Tensor normed =
        at::batch_norm(at::cat(whole, 3).flatten(0, 2), of("bn.weight"), of("bn.bias"),
                       of("bn.running_mean"), of("bn.running_var"), false, 0, 1e-5, false);
    const at::Tensor want =
        at::linear(normed, of("conv_seg.weight").flatten(1), of("conv_seg.bias"))
            .view({2, 3, 4, 5});
    const auto made = make_dense_head(own.info.head, {blocks, width, 5});
    EXPECT_LT(test::relative_difference(made->forward(own.weights, bare, nullptr).main_BHWC, want),
              1e-5)
        << blocks;
  }
}

TEST(Dinov2Head, RefusesOtherWidthsAndNames) {
  TempFolder folder;
  const ViTConfig model = test::tiny_config("serial");
  EXPECT_NE(test::error_of<CheckpointError>([&] {
              read_dinov2_head(written(folder, published(5, model.embed_dim + 1)), model, {}, {});
            }).find("want [classes"),
            std::string::npos);
  EXPECT_NE(test::error_of<UsageError>([&] {
              read_dinov2_head(written(folder, published(5, model.embed_dim)), model, {}, {"a"});
            }).find("has 5 classes, there are 1 names"),
            std::string::npos);
  NamedTensors without = published(5, model.embed_dim);
  without.erase("decode_head.bn.bias");
  EXPECT_THROW(read_dinov2_head(written(folder, without), model, {}, {}), CheckpointError);
}

}  // namespace
}  // namespace vit22b
