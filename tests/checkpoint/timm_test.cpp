#include "checkpoint/import/timm.h"

#include <gtest/gtest.h>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/import/own.h"
#include "checkpoint/model_writer.h"
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
  EXPECT_TRUE(info.config.attention.qk_norm);
  EXPECT_EQ(info.config.pool.global_pool, "map");
  EXPECT_EQ(info.config.norm.norm_layer, "rmsnorm");
  EXPECT_EQ(info.config.mlp.act_layer, "gelu_tanh");
}

TEST(TimmImport, SumsTheTwoOutputBiases) {
  const fs::path folder = test::source_path("tests/oracle/timm_parallel");
  const NamedTensors weights =
      load_weights(folder, parameter_table(read_model_info(folder).config));
  const TensorContainer files = open_weights(folder);
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
  EXPECT_EQ(again.config.mlp.mlp_ratio, info.config.mlp.mlp_ratio);
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

/// A copy of the serial oracle whose config.json a test may change.
class Copy {
 public:
  explicit Copy(const std::string& oracle = "timm_serial") {
    copy_oracle(oracle, folder / "m");
    text = test::read_file(folder / "m/config.json");
  }
  void replace(const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    test::write_file(folder / "m/config.json", text);
  }
  std::string refusal() const {
    return error_of<CheckpointError>([&] { read_model_info(folder / "m"); });
  }

  TempFolder folder;
  std::string text;
};

TEST(TimmImport, AnUnknownArchitectureIsRefusedWithTheNearest) {
  Copy copy;
  copy.replace("vit_base_patch16_224", "vit_bose_patch16_224");
  EXPECT_NE(copy.refusal().find("'vit_bose_patch16_224' is none of timm 1.0.31's plain vision "
                                "transformers (did you mean 'vit_base_patch16_224'?)"),
            std::string::npos)
      << copy.refusal();
}

TEST(TimmImport, AnArchitectureThatIsNotComputedIsRefusedByWhatItHas) {
  Copy copy;
  copy.replace("vit_base_patch16_224", "vit_base_patch16_rope_mixed_224");
  EXPECT_NE(copy.refusal().find("'vit_base_patch16_rope_mixed_224' is not supported: "
                                "rope_type=mixed"),
            std::string::npos)
      << copy.refusal();
}

TEST(TimmImport, TheArchitectureTellsWhatModelArgsDoNot) {
  Copy copy;
  copy.replace("vit_base_patch16_224", "vit_base_patch32_siglip_gap_256");
  copy.replace("\"embed_dim\"",
               "\"class_token\": true, \"fc_norm\": null, \"global_pool\": \"token\", "
               "\"embed_dim\"");
  EXPECT_EQ(read_model_info(copy.folder / "m").config.mlp.act_layer, "gelu_tanh");
}

TEST(TimmImport, AnUnknownModelArgumentIsRefusedByName) {
  Copy copy;
  copy.replace("\"embed_dim\"", "\"rope\": true, \"embed_dim\"");
  EXPECT_NE(copy.refusal().find("model_args has the unknown argument 'rope' (true)"),
            std::string::npos);
}

TEST(TimmImport, ANormsEpsGoesBackToTimmWithAnArchitectureThatHasIt) {
  ViTConfig config = preset("test8", "serial");
  EXPECT_NE(timm_config_text(config, "").find("\"vit_base_patch16_224\""), std::string::npos);
  config.norm.norm_eps = 1e-5;
  EXPECT_NE(timm_config_text(config, "").find("\"vit_base_patch16_clip_224\""), std::string::npos);
  config.norm.norm_eps = 1e-4;
  EXPECT_EQ(timm_config_text(config, "").find("architecture"), std::string::npos);
}

TEST(TimmImport, DamagedShapesAreRefused) {
  for (const char* name : {"patch_embed.proj.weight", "pos_embed", "reg_token", "head.weight",
                           "blocks.0.mlp.fc2.weight", "blocks.0.norm1.weight"}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{}, {8}, {0, 3, 16, 16}, {24, 1, 0, 0}, {0}}) {
      Copy copy;
      const SafetensorsFile file(test::source_path("tests/oracle/timm_serial/model.safetensors"));
      TensorList tensors;
      for (const auto& [key, entry] : file.entries())
        tensors.emplace_back(key, key == name ? at::zeros(shape) : file.load(key));
      FileOps ops;
      write_safetensors(ops, copy.folder / "m/model.safetensors", tensors);
      EXPECT_NE(error_of<CheckpointError>([&] {
                  load_weights(copy.folder / "m",
                               parameter_table(read_model_info(copy.folder / "m").config));
                }).find(name),
                std::string::npos)
          << name;
    }
  }
}

TEST(TimmImport, WholeNumbersAreNoWeights) {
  Copy copy;
  const SafetensorsFile file(test::source_path("tests/oracle/timm_serial/model.safetensors"));
  TensorList tensors;
  for (const auto& [key, entry] : file.entries())
    tensors.emplace_back(key, key == "norm.weight" ? file.load(key).to(at::kLong) : file.load(key));
  FileOps ops;
  write_safetensors(ops, copy.folder / "m/model.safetensors", tensors);
  EXPECT_NE(error_of<CheckpointError>([&] {
              load_weights(copy.folder / "m",
                           parameter_table(read_model_info(copy.folder / "m").config));
            }).find("tensor 'norm.weight' is of Long, want floating-point numbers"),
            std::string::npos);
}

TEST(ModelFolder, DeepNestingIsRefusedBeforeItIsParsed) {
  const TempFolder folder;
  test::write_file(folder / "config.json",
                   "{\"x\":" + std::string(300'000, '[') + std::string(300'000, ']') + "}");
  EXPECT_NE(
      error_of<UserError>([&] { read_model_info(folder.path()); }).find("nested more than 64 deep"),
      std::string::npos);
}

TEST(ModelFolder, AFileAndAnIndexAreNotGuessedBetween) {
  Copy copy;
  test::write_file(copy.folder / "m/model.safetensors.index.json", "{\"weight_map\":{}}");
  EXPECT_NE(error_of<CheckpointError>([&] { open_weights(copy.folder / "m"); }).find("holds both"),
            std::string::npos);
  EXPECT_EQ(open_weights(CheckpointPath(copy.folder / "m", "model.safetensors")).place(),
            copy.folder / "m/model.safetensors");
}

TEST(ModelFolder, AnIndexThatIsNotAsTheShardsAreIsRefused) {
  Copy copy;
  fs::rename(copy.folder / "m/model.safetensors", copy.folder / "m/part.safetensors");
  test::write_file(copy.folder / "m/model.safetensors.index.json",
                   "{\"weight_map\":{\"norm.nothing\":\"part.safetensors\"}}");
  EXPECT_NE(error_of<CheckpointError>([&] {
              open_weights(copy.folder / "m");
            }).find("tensor 'norm.nothing' is not in part.safetensors"),
            std::string::npos);
  test::write_file(copy.folder / "m/model.safetensors.index.json",
                   "{\"weight_map\":{\"norm.weight\":\"part.safetensors\"}}");
  EXPECT_NE(error_of<CheckpointError>([&] {
              open_weights(copy.folder / "m");
            }).find("which the index has not there"),
            std::string::npos);
}

TEST(ResolveCheckpoint, ANamedFileIsTheOneThatIsUsed) {
  Copy copy;
  const fs::path folder = copy.folder / "m";
  const SafetensorsFile file(folder / "model.safetensors");
  TensorList tensors;
  for (const auto& [key, entry] : file.entries()) tensors.emplace_back(key, file.load(key) + 1);
  FileOps ops;
  write_safetensors(ops, folder / "ema.safetensors", tensors);
  const CheckpointPath named = resolve_checkpoint(folder / "ema.safetensors");
  const auto table = parameter_table(read_model_info(named).config);
  EXPECT_TRUE(test::is_same(load_weights(named, table).at("norm.weight"),
                            load_weights(folder, table).at("norm.weight") + 1));
  EXPECT_NE(model_fingerprint(named), model_fingerprint(folder));
  EXPECT_EQ(model_fingerprint(resolve_checkpoint(folder / "model.safetensors")),
            model_fingerprint(folder));
  test::write_file(folder / "garbage.safetensors", "not safetensors at all");
  EXPECT_NE(error_of<CheckpointError>([&] {
              load_weights(resolve_checkpoint(folder / "garbage.safetensors"), table);
            }).find("is that of a safetensors file"),
            std::string::npos);
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
