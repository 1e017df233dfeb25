#include <gtest/gtest.h>

#include "checkpoint/model_folder.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

/// A copy of an oracle folder that a test may damage.
void copy_oracle(const std::string& name, const fs::path& to) {
  fs::copy(test::source_path("tests/oracle/" + name), to, fs::copy_options::recursive);
}

TEST(TimmImport, ReadsEveryFieldOfTheParallelModel) {
  const ModelInfo info = read_model_info(test::source_path("tests/oracle/timm_parallel"));
  EXPECT_TRUE(info.config.is_parallel());
  EXPECT_EQ(info.config.img_size, (ImageSize{8, 12}));
  EXPECT_EQ(info.config.mlp_dim(), 72);
  EXPECT_EQ(info.config.num_heads, 2);
  EXPECT_TRUE(info.config.qk_norm);
  EXPECT_EQ(info.config.global_pool, "map");
  EXPECT_EQ(info.config.norm_layer, "rmsnorm");
  EXPECT_EQ(info.config.act_layer, "gelu_tanh");
}

TEST(TimmImport, SumsTheTwoOutputBiases) {
  const fs::path folder = test::source_path("tests/oracle/timm_parallel");
  const NamedTensors weights =
      load_weights(folder, parameter_table(read_model_info(folder).config));
  const WeightFiles files(folder);
  const at::Tensor want =
      files.load("blocks.1.attn_out_proj.bias") + files.load("blocks.1.mlp_out_proj.bias");
  EXPECT_TRUE(at::allclose(weights.at("blocks.1.mlp_out_proj.bias"), want));
}

TEST(ModelFolder, ReadsBackItsOwnFields) {
  const TempFolder folder;
  ModelInfo info{preset("e14"), "", {"cat", "dog"}};
  info.config.depth = 1;
  info.config.embed_dim = 28;
  info.config.num_heads = 2;
  info.config.img_size = {28, 42};
  info.config.num_classes = 2;
  info.pp_eval = default_pp_eval(info.config);
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(info.config))
    weights[row.name] = at::randn(row.shape);
  FileOps ops;
  Manifest manifest;
  write_model(ops, folder.path(), info, weights, manifest);
  write_manifest(ops, folder.path(), manifest);
  const ModelInfo again = read_model_info(folder.path());
  EXPECT_EQ(model_info_text(again), model_info_text(info));
  EXPECT_EQ(again.config.mlp_ratio, info.config.mlp_ratio);
  const NamedTensors loaded = load_weights(folder.path(), parameter_table(again.config));
  for (const auto& [name, weight] : weights)
    EXPECT_TRUE(test::is_same(loaded.at(name), weight)) << name;
}

TEST(ModelFolder, ReadsShardsWithAnIndex) {
  const TempFolder folder;
  const fs::path source = test::source_path("tests/oracle/timm_serial");
  const SafetensorsFile whole(source / "model.safetensors");
  TensorList halves[2];
  std::string map;
  for (const auto& [name, entry] : whole.entries()) {
    const size_t half = halves[0].size() < whole.entries().size() / 2 ? 0 : 1;
    halves[half].emplace_back(name, whole.load(name));
    map += concat(map.empty() ? "" : ",", "\"", name, "\":\"part", half, ".safetensors\"");
  }
  FileOps ops;
  for (const size_t half : {0, 1})
    write_safetensors(ops, folder / concat("part", half, ".safetensors"), halves[half]);
  test::write_file(folder / "model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  fs::copy(source / "config.json", folder / "config.json");
  const auto table = parameter_table(read_model_info(folder.path()).config);
  const NamedTensors sharded = load_weights(folder.path(), table),
                     plain = load_weights(source, table);
  for (const auto& [name, weight] : plain)
    EXPECT_TRUE(test::is_same(sharded.at(name), weight)) << name;
}

TEST(LoadWeights, MissingExtraAndMisshapenTensorsAreNamed) {
  const TempFolder folder;
  copy_oracle("timm_serial", folder / "m");
  const auto table = parameter_table(read_model_info(folder / "m").config);
  const SafetensorsFile file(test::source_path("tests/oracle/timm_serial/model.safetensors"));
  const auto refusal = [&](const std::function<void(TensorList&)>& change) {
    TensorList tensors;
    for (const auto& [name, entry] : file.entries()) tensors.emplace_back(name, file.load(name));
    change(tensors);
    FileOps ops;
    write_safetensors(ops, folder / "m/model.safetensors", tensors);
    return error_of<CheckpointError>([&] { load_weights(folder / "m", table); });
  };
  EXPECT_NE(refusal([](TensorList& t) {
              std::erase_if(t, [](const auto& p) { return p.first == "norm.weight"; });
            }).find("tensor 'norm.weight' is missing"),
            std::string::npos);
  EXPECT_NE(refusal([](TensorList& t) {
              t.emplace_back("norm.extra", at::zeros({1}));
            }).find("tensor 'norm.extra' belongs to no parameter"),
            std::string::npos);
  EXPECT_NE(refusal([](TensorList& t) {
              for (auto& [name, tensor] : t)
                if (name == "head.bias") tensor = at::zeros({9});
            }).find("tensor 'head.bias' has shape [9], the model has [7]"),
            std::string::npos);
}

TEST(InitWeights, ReplacesAnotherHeadAndMovesThePositions) {
  const fs::path folder = test::source_path("tests/oracle/timm_parallel");
  ViTConfig config = read_model_info(folder).config;
  config.num_classes = 3;
  config.img_size = {16, 16};
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(config))
    weights[row.name] = at::full(row.shape, 5.0);
  const InitReport report = init_weights(folder, config, {}, weights);
  EXPECT_EQ(report.notes,
            (std::vector<std::string>{"head: fresh for 3 classes, the checkpoint has 7",
                                      "position table: moved from 2x3 to 4x4"}));
  EXPECT_EQ(weights.at("head.weight").max().item<float>(), 5);
  EXPECT_TRUE(test::is_same(weights.at("blocks.0.in_proj.weight"),
                            WeightFiles(folder).load("blocks.0.in_proj.weight")));
}

TEST(InitWeights, SkippedNamesKeepTheirFreshValues) {
  const fs::path folder = test::source_path("tests/oracle/timm_parallel");
  const ViTConfig config = read_model_info(folder).config;
  NamedTensors weights;
  for (const ParameterRow& row : parameter_table(config))
    weights[row.name] = at::full(row.shape, 5.0);
  init_weights(folder, config, {"blocks.*"}, weights);
  EXPECT_EQ(weights.at("blocks.1.mlp_bias").max().item<float>(), 5);
  EXPECT_NE(weights.at("head.bias").max().item<float>(), 5);
}

TEST(ResolveCheckpoint, SaysWhatItLookedFor) {
  const TempFolder folder;
  EXPECT_NE(error_of<CheckpointError>([&] {
              resolve_checkpoint(folder.path());
            }).find("holds neither config.json nor ckpt/latest"),
            std::string::npos);
  EXPECT_NE(error_of<CheckpointError>([&] {
              resolve_checkpoint(folder / "none");
            }).find("does not exist"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
