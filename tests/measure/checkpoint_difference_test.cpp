#include "measure/checkpoint_difference.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/model_writer.h"
#include "core/error.h"
#include "support/files.h"
#include "support/tiny_model.h"

namespace vit22b {
namespace {

using test::TempFolder;

/// A folder of a small model, its tensors changed.
class Differences : public testing::Test {
 protected:
  using Change = std::function<void(NamedTensors& weights)>;

  static ModelInfo info_of(const ViTConfig& config) {
    return {config, default_pp_eval(config), {"a", "b", "c", "d", "e"}};
  }
  CheckpointPath write(const std::string& name, const Change& change = {},
                       const WeightLayout& layout = {}) {
    return write(name, info_of(model_.config), change, layout);
  }
  CheckpointPath write(const std::string& name, const ModelInfo& info, const Change& change = {},
                       const WeightLayout& layout = {}) {
    NamedTensors weights;
    for (const ParameterRow& row : parameter_table(info.config))
      weights[row.name] = randomised_tensor(row, 1);
    if (change) change(weights);
    FileOps ops;
    Manifest manifest;
    const WholeTensor whole = [&](const ParameterRow& row) { return weights.at(row.name); };
    std::filesystem::create_directories(folder_ / name);
    write_model(ops, folder_ / name, info, whole, layout, manifest);
    return {folder_ / name};
  }
  /// The files' tensors themselves changed.
  CheckpointPath rewrite(const std::string& name, const std::function<void(TensorList&)>& change) {
    const CheckpointPath place = write(name);
    TensorList tensors;
    {
      const TensorContainer files = open_weights(place);
      for (const std::string& tensor : files.names())
        tensors.emplace_back(tensor, files.load(tensor).clone());
    }
    change(tensors);
    FileOps ops;
    write_safetensors(ops, folder_ / name / "model.safetensors", tensors);
    return place;
  }

  TempFolder folder_;
  test::TinyModel model_{test::tiny_config("serial")};
};

TEST_F(Differences, OfACheckpointFromItselfAreNone) {
  const CheckpointDifference found = compare_checkpoints(write("a"), write("b"));
  EXPECT_TRUE(found.is_equal());
  EXPECT_EQ(found.num_equal, std::ssize(model_.table));
  EXPECT_EQ(found.reason, "");
}

TEST_F(Differences, OneChangedElementIsNamedWithItsSize) {
  const auto found = compare_checkpoints(write("a"), write("b", [](NamedTensors& weights) {
                                           weights.at("blocks.1.attn.qkv.weight")[2][3] += 0.25F;
                                         }));
  ASSERT_EQ(found.different.size(), 1U);
  EXPECT_EQ(found.different[0].name, "blocks.1.attn.qkv.weight");
  EXPECT_EQ(found.different[0].of.num_different(), 1);
  EXPECT_NEAR(found.different[0].of.max_abs(), 0.25, 1e-6);
  EXPECT_EQ(found.num_equal, std::ssize(model_.table) - 1);
  EXPECT_FALSE(found.is_equal());
}

TEST_F(Differences, TheLargestComesFirstAndNaNBeforeIt) {
  const auto found = compare_checkpoints(write("a"), write("b", [](NamedTensors& weights) {
                                           weights.at("blocks.0.attn.proj.weight") *= 1.001F;
                                           weights.at("blocks.1.attn.proj.weight") *= 2;
                                           weights.at("cls_token").view({-1})[0] =
                                               std::numeric_limits<float>::quiet_NaN();
                                         }));
  ASSERT_EQ(found.different.size(), 3U);
  EXPECT_EQ(found.different[0].name, "cls_token");
  EXPECT_EQ(found.different[0].of.num_nan_second(), 1);
  EXPECT_EQ(found.different[1].name, "blocks.1.attn.proj.weight");
  EXPECT_NEAR(found.different[1].of.relative(), 1, 1e-6);
  EXPECT_NEAR(found.different[2].of.relative(), 1e-3, 1e-5);
}

TEST_F(Differences, EqualValuesInAnotherDtypeAreNone) {
  const Change rounded = [](NamedTensors& weights) {
    for (auto& [name, tensor] : weights) tensor = tensor.to(at::kBFloat16).to(at::kFloat);
  };
  const auto found =
      compare_checkpoints(write("a", rounded), write("b", rounded, {.dtype = at::kBFloat16}));
  EXPECT_TRUE(found.is_equal());
  EXPECT_EQ(found.first.dtypes.count("BFloat16"), 0U);
  EXPECT_GT(found.second.dtypes.at("BFloat16"), 0);
}

TEST_F(Differences, ARenamedTensorIsInEachAlone) {
  const auto found = compare_checkpoints(write("a"), rewrite("b", [](TensorList& tensors) {
                                           for (auto& [name, tensor] : tensors)
                                             if (name == "norm.weight") name = "last_norm.weight";
                                         }));
  EXPECT_EQ(found.only_first, std::vector<std::string>{"norm.weight"});
  EXPECT_EQ(found.only_second, std::vector<std::string>{"last_norm.weight"});
  EXPECT_EQ(found.num_equal, std::ssize(model_.table) - 1);
  EXPECT_NE(found.reason.find("last_norm.weight"), std::string::npos);
  EXPECT_TRUE(found.function.empty());
}

TEST_F(Differences, ATransposedTensorIsOfAnotherShape) {
  const auto found = compare_checkpoints(write("a"), rewrite("b", [](TensorList& tensors) {
                                           for (auto& [name, tensor] : tensors)
                                             if (name == "blocks.2.mlp.fc1.weight")
                                               tensor = tensor.t().contiguous();
                                         }));
  ASSERT_EQ(found.shapes.size(), 1U);
  EXPECT_EQ(found.shapes[0].first, (std::vector<int64_t>{30, 12}));
  EXPECT_EQ(found.shapes[0].second, (std::vector<int64_t>{12, 30}));
}

TEST_F(Differences, AnotherClassifierIsOfAnotherShape) {
  ModelInfo info = info_of(model_.config);
  info.config.num_classes = 3;
  info.label_names = {"a", "x", "c"};
  const auto found = compare_checkpoints(write("a"), write("b", info));
  EXPECT_EQ(found.reason, "");
  EXPECT_EQ(found.shapes.size(), 2U);
  ASSERT_TRUE(found.labels);
  EXPECT_EQ(found.labels->index, 1);
  EXPECT_EQ(found.labels->second, "x");
}

TEST_F(Differences, WhatIsComputedOtherwiseIsNamed) {
  ModelInfo info = info_of(model_.config);
  info.config.norm.norm_eps = 1e-5;
  info.pp_eval = "decode|rgb|resize(8,16)|value_range(0,1)";
  const auto found = compare_checkpoints(write("a"), write("b", info));
  ASSERT_EQ(found.function.size(), 2U);
  EXPECT_EQ(found.function[0].name, "norm_eps");
  EXPECT_EQ(found.function[0].first, "1e-06");
  EXPECT_EQ(found.function[0].second, "1e-05");
  EXPECT_EQ(found.function[1].name, "pp_eval");
  EXPECT_TRUE(found.different.empty());
}

TEST_F(Differences, FilesThatAreNoModelAreComparedByTheirNames) {
  FileOps ops;
  for (const char* name : {"x", "y"})
    write_safetensors(ops, folder_ / (std::string(name) + ".safetensors"),
                      {{"one", at::ones({2, 3})},
                       {"steps", at::full({1}, name[0], at::kLong)},
                       {name, at::ones({1})}});
  const auto found = compare_checkpoints(resolve_checkpoint(folder_ / "x.safetensors"),
                                         resolve_checkpoint(folder_ / "y.safetensors"));
  EXPECT_EQ(found.num_equal, 1);
  ASSERT_EQ(found.different.size(), 1U);
  EXPECT_EQ(found.different[0].of.max_abs(), 1);
  EXPECT_EQ(found.only_first, std::vector<std::string>{"x"});
  EXPECT_NE(found.reason, "");
}

TEST_F(Differences, ADamagedFileIsAnError) {
  const CheckpointPath place = write("a");
  test::write_file(folder_ / "b/config.json", test::read_file(folder_ / "a/config.json"));
  test::write_file(folder_ / "b/model.safetensors",
                   test::read_file(folder_ / "a/model.safetensors").substr(0, 2000));
  EXPECT_NE(test::error_of<CheckpointError>([&] {
              compare_checkpoints(place, {folder_ / "b"});
            }).find("model.safetensors"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
