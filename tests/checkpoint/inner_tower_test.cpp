#include "checkpoint/inner_tower.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

std::string refusal(const Json& config, const std::string& wanted = "") {
  try {
    inner_tower(config, "config.json", wanted);
  } catch (const CheckpointError& e) {
    return e.what();
  }
  return "";
}

const Json kOpenVla = {
    {"model_type", "openvla"},
    {"timm_model_ids", {"vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"}},
    {"image_sizes", {224, 224}}};

TEST(InnerTower, OfAModelThatIsATowerItselfThereIsNone) {
  EXPECT_FALSE(inner_tower({{"model_type", "dinov2"}}, "config.json", "").has_value());
  EXPECT_FALSE(inner_tower({{"model_type", 3}}, "config.json", "").has_value());
  EXPECT_NE(refusal({{"model_type", "dinov2"}}, "siglip").find("none of the name 'siglip'"),
            std::string::npos);
}

TEST(InnerTower, IsWhatTheConfigSaysOfIt) {
  const Json own = {{"model_type", "siglip_vision_model"}, {"hidden_size", 48}};
  const auto tower =
      inner_tower({{"model_type", "paligemma"}, {"vision_config", own}}, "config.json", "");
  ASSERT_TRUE(tower.has_value());
  EXPECT_EQ(Json::parse(tower->config), own);
  EXPECT_NE(refusal({{"model_type", "llava"}}).find("without vision_config"), std::string::npos);
}

TEST(InnerTower, OfTwoTheOneThatIsMeantHasToBeNamed) {
  EXPECT_NE(refusal(kOpenVla).find("dino and siglip; say which is meant with --tower NAME"),
            std::string::npos);
  EXPECT_NE(refusal(kOpenVla, "clip").find("none of the name 'clip'"), std::string::npos);
  const auto tower = inner_tower(kOpenVla, "config.json", "siglip");
  EXPECT_EQ(tower->prefixes.front(), "vision_backbone.fused_featurizer.");
  EXPECT_EQ(Json::parse(tower->config).at("architecture"), "vit_so400m_patch14_siglip_224");
}

TEST(InnerTower, WhatNoFieldExpressesIsRefusedByName) {
  for (const char* type : {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_next"})
    EXPECT_NE(refusal({{"model_type", type}, {"vision_config", Json::object()}})
                  .find(concat("the image tower of ", type, " is not read: ")),
              std::string::npos);
}

/// A folder of a larger model around a small SigLIP tower.
class LargerModel : public testing::Test {
 protected:
  void write(const std::string& prefix) {
    constexpr int64_t kWidth = 16, kHidden = 24;
    TensorList tensors = {{"language_model.embed.weight", at::randn({500, 100})}};
    const auto add = [&](const std::string& name, at::IntArrayRef shape) {
      tensors.emplace_back(prefix + "vision_model." + name, at::randn(shape));
    };
    add("embeddings.patch_embedding.weight", {kWidth, 3, 4, 4});
    add("embeddings.patch_embedding.bias", {kWidth});
    add("embeddings.position_embedding.weight", {4, kWidth});
    for (const char* norm :
         {"encoder.layers.0.layer_norm1", "encoder.layers.0.layer_norm2", "post_layernorm"})
      for (const char* part : {".weight", ".bias"}) add(concat(norm, part), {kWidth});
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      add(concat("encoder.layers.0.self_attn.", name, ".weight"), {kWidth, kWidth});
      add(concat("encoder.layers.0.self_attn.", name, ".bias"), {kWidth});
    }
    add("encoder.layers.0.mlp.fc1.weight", {kHidden, kWidth});
    add("encoder.layers.0.mlp.fc1.bias", {kHidden});
    add("encoder.layers.0.mlp.fc2.weight", {kWidth, kHidden});
    add("encoder.layers.0.mlp.fc2.bias", {kWidth});
    FileOps ops(ExitCode::kCheckpoint);
    write_safetensors(ops, folder_ / "model.safetensors", tensors);
    test::write_file(folder_ / "config.json", Json{{"model_type", "paligemma"},
                                                   {"vision_config",
                                                    {{"model_type", "siglip_vision_model"},
                                                     {"hidden_size", kWidth},
                                                     {"num_attention_heads", 2},
                                                     {"image_size", 8},
                                                     {"patch_size", 4}}}}
                                                  .dump());
  }
  test::TempFolder folder_;
};

TEST_F(LargerModel, ItsTowerIsReadAsAModelOfItsOwn) {
  for (const char* prefix : {"vision_tower.", "model.vision_tower."}) {
    std::filesystem::remove(folder_ / "model.safetensors");
    write(prefix);
    const CheckpointPath place = resolve_checkpoint(folder_.path());
    const ModelInfo info = read_model_info(place);
    EXPECT_EQ(info.config.embed_dim, 16);
    EXPECT_EQ(info.config.depth, 1);
    const NamedTensors weights = load_weights(place, parameter_table(info.config));
    EXPECT_EQ(weights.at("pos_embed").numel(), 4 * 16);
  }
}

TEST_F(LargerModel, OfADamagedConfigTheMessageIsThatOfItsReader) {
  write("vision_tower.");
  test::write_file(folder_ / "config.json", R"({"model_type": "llava", )");
  try {
    read_model_info(resolve_checkpoint(folder_.path()));
    FAIL();
  } catch (const CheckpointError& e) {
    EXPECT_NE(std::string(e.what()).find("is damaged"), std::string::npos) << e.what();
  }
  EXPECT_NO_THROW(open_weights(resolve_checkpoint(folder_.path())));
}

TEST_F(LargerModel, WithoutTensorsOfATowerIsNone) {
  write("another_tower.");
  try {
    open_weights(resolve_checkpoint(folder_.path()));
    FAIL();
  } catch (const CheckpointError& e) {
    EXPECT_NE(std::string(e.what()).find("holds no image tower"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace vit22b
