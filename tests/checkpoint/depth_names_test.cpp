#include "checkpoint/import/depth_names.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "model/dense/dense_head.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

constexpr int64_t kWidth = 8, kChannels = 4;

/// A head in the names of Depth Anything's state dicts, every value random; with a batch norm.
NamedTensors published() {
  at::manual_seed(11);
  const std::string root = "depth_head.", scratch = root + "scratch.";
  NamedTensors t;
  const auto conv = [&](const std::string& name, int64_t out, int64_t in, int64_t side) {
    t[name + ".weight"] = at::randn({out, in, side, side});
    t[name + ".bias"] = at::randn({out});
  };
  for (int64_t i = 0; i < 4; ++i) {
    conv(concat(root, "projects.", i), 2 + i, kWidth, 1);
    if (i != 2) conv(concat(root, "resize_layers.", i), 2 + i, 2 + i, i == 0 ? 4 : i == 1 ? 2 : 3);
    t[concat(scratch, "layer", i + 1, "_rn.weight")] = at::randn({kChannels, 2 + i, 3, 3});
    const std::string fusion = concat(scratch, "refinenet", i + 1, ".");
    for (const char* unit :
         {"resConfUnit1.conv1", "resConfUnit1.conv2", "resConfUnit2.conv1", "resConfUnit2.conv2"})
      conv(fusion + unit, kChannels, kChannels, 3);
    conv(fusion + "out_conv", kChannels, kChannels, 1);
  }
  conv(scratch + "output_conv1", kChannels / 2, kChannels, 3);
  conv(scratch + "output_conv2.0", 6, kChannels / 2, 3);
  conv(scratch + "output_conv2.2", 1, 6, 1);
  const std::string norm = scratch + "refinenet2.resConfUnit2.bn1.";
  t[norm + "weight"] = at::rand({kChannels}) + 0.5;
  t[norm + "bias"] = at::randn({kChannels});
  t[norm + "running_mean"] = at::randn({kChannels});
  t[norm + "running_var"] = at::rand({kChannels}) + 0.5;
  return t;
}

TensorContainer file_of(const TempFolder& folder, const NamedTensors& tensors) {
  FileOps ops;
  TensorList list(tensors.begin(), tensors.end());
  write_safetensors(ops, folder / "head.safetensors", list, {});
  return open_container(folder / "head.safetensors");
}

std::vector<ParameterRow> rows_of(const DenseHeadConfig& head) {
  return make_dense_head(head, {4, kWidth, 1, 7})->rows();
}

TEST(DepthNames, SayTheHeadAndItsValues) {
  TempFolder folder;
  const NamedTensors theirs = published();
  const TensorContainer file = file_of(folder, theirs);
  const DepthNames* names = depth_names_of(file);
  ASSERT_NE(names, nullptr);
  EXPECT_TRUE(names->is_depth_anything);
  const DenseHeadConfig head = names->described(file);
  EXPECT_EQ(head.level_channels, "2,3,4,5");
  EXPECT_EQ(head.channels, kChannels);
  EXPECT_EQ(head.last_channels, 6);
  EXPECT_EQ(head.readout, "ignore");
  const NamedTensors weights = names->load(file, rows_of(head));
  EXPECT_TRUE(
      weights.at("lateral.3.weight").equal(theirs.at("depth_head.scratch.layer4_rn.weight")));
  EXPECT_TRUE(weights.at("resize.1.bias").equal(theirs.at("depth_head.resize_layers.1.bias")));
  EXPECT_TRUE(weights.at("fusion.0.unit1.conv2.weight")
                  .equal(theirs.at("depth_head.scratch.refinenet1.resConfUnit1.conv2.weight")));
}

TEST(DepthNames, MakeABatchNormPartOfItsConvolution) {
  TempFolder folder;
  const NamedTensors theirs = published();
  const TensorContainer file = file_of(folder, theirs);
  const DepthNames& names = *depth_names_of(file);
  const NamedTensors weights = names.load(file, rows_of(names.described(file)));
  const std::string unit = "depth_head.scratch.refinenet2.resConfUnit2.";
  const at::Tensor x = at::randn({2, kChannels, 5, 5});
  const at::Tensor convolved =
      at::conv2d(x, theirs.at(unit + "conv1.weight"), theirs.at(unit + "conv1.bias"), 1, 1);
  const at::Tensor want =
      at::batch_norm(convolved, theirs.at(unit + "bn1.weight"), theirs.at(unit + "bn1.bias"),
                     theirs.at(unit + "bn1.running_mean"), theirs.at(unit + "bn1.running_var"),
                     false, 0, 1e-5, false);
  const at::Tensor got = at::conv2d(x, weights.at("fusion.1.unit2.conv1.weight"),
                                    weights.at("fusion.1.unit2.conv1.bias"), 1, 1);
  EXPECT_LT(test::relative_difference(got, want), 1e-5);
}

TEST(DepthNames, RefuseWhatIsMissingMisshapenOrUnknown) {
  const auto refusal = [](const std::function<void(NamedTensors&)>& change) {
    TempFolder folder;
    NamedTensors theirs = published();
    change(theirs);
    const TensorContainer file = file_of(folder, theirs);
    const DepthNames& names = *depth_names_of(file);
    const std::string text =
        error_of<CheckpointError>([&] { names.load(file, rows_of(names.described(file))); });
    return text.substr(text.find(": ") + 2);
  };
  EXPECT_NE(refusal([](NamedTensors& t) {
              t.erase("depth_head.projects.1.bias");
            }).find("'depth_head.projects.1.bias'"),
            std::string::npos);
  const char* bias = "depth_head.scratch.refinenet1.resConfUnit1.conv1.bias";
  EXPECT_NE(refusal([&](NamedTensors& t) { t.erase(bias); }).find(bias), std::string::npos);
  EXPECT_EQ(refusal([](NamedTensors& t) {
              t["depth_head.projects.1.weight"] = at::zeros({3, kWidth + 1, 1, 1});
            }),
            "'depth_head.projects.1.weight' has shape [3, 9, 1, 1], want [3, 8, 1, 1]");
  EXPECT_EQ(refusal([](NamedTensors& t) { t["depth_head.more.weight"] = at::zeros({1}); }),
            "'depth_head.more.weight' is a part of the head that none of ours has");
}

// Outputs of blocks below the last are normed without scale here, and with it there.
TEST(DepthNames, PutTheFinalNormIntoTheLayersThatReadIt) {
  DenseHeadConfig head;
  head.head = "dpt";
  head.layers = "0,1,2,3";
  head.channels = kChannels;
  head.readout = "project";
  at::manual_seed(3);
  const auto made = make_dense_head(head, {4, 2 * kWidth, 1, 7});
  NamedTensors weights;
  for (const ParameterRow& row : made->rows()) weights[row.local_name] = at::randn(row.shape);
  const NamedTensors norm = {{"norm.weight", at::rand({kWidth}) + 0.5},
                             {"norm.bias", at::randn({kWidth})}};
  const auto scaled = [&](const at::Tensor& x) {
    return x * at::cat({norm.at("norm.weight"), norm.at("norm.weight")}) +
           at::cat({norm.at("norm.bias"), norm.at("norm.bias")});
  };
  std::vector<at::Tensor> bare, whole;
  for (int64_t i = 0; i < 4; ++i) {
    const at::Tensor x = at::randn({1, 2, 3, 2 * kWidth});
    whole.push_back(scaled(x));
    bare.push_back(i == 3 ? whole.back() : x);
  }
  const at::Tensor want = made->forward(weights, whole, nullptr).main_BHWC;
  take_final_norm_in(norm, head, 4, weights);
  EXPECT_LT(test::relative_difference(made->forward(weights, bare, nullptr).main_BHWC, want), 1e-5);
}

}  // namespace
}  // namespace vit22b
