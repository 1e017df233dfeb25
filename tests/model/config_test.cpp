#include "model/config.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "model/flops.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::error_of;

TEST(ViTConfig, EveryPresetRoundTripsThroughToml) {
  const test::TempFolder folder;
  for (const std::string& name : preset_names()) {
    for (const char* block : {"parallel", "serial"}) {
      ViTConfig config = preset(name, block);
      const std::string text = to_toml([&](FieldVisitor& v) { config.fields(v); });
      test::write_file(folder / "m.toml", text);
      ViTConfig again = model_from_tree(read_config_file(folder / "m.toml"));
      EXPECT_EQ(to_toml([&](FieldVisitor& v) { again.fields(v); }), text) << name;
      EXPECT_EQ(again.mlp_dim(), config.mlp_dim()) << name;
    }
  }
}

TEST(ViTConfig, E14NeedsAllDigitsOfItsRatio) {
  ViTConfig config = preset("e14");
  EXPECT_EQ(config.mlp_dim(), 15360);
  config.mlp.mlp_ratio = 8.5714285714;  // 11 digits
  EXPECT_EQ(config.mlp_dim(), 15359);
}

TEST(ViTConfig, SizeThatIsNoMultipleNamesTheNearest) {
  ViTConfig config = preset("b16");
  config.img_size = {224, 230};
  EXPECT_EQ(error_of<UsageError>([&] { config.validate(); }),
            "image size 230 is no multiple of the patch size 16; the nearest sizes are 224 or 240");
}

TEST(ViTConfig, UnknownPresetNamesTheNearest) {
  EXPECT_NE(error_of<UsageError>([] { preset("22b16"); }).find("did you mean '22b14'?"),
            std::string::npos);
}

TEST(ViTConfig, HeadsMustDivideTheWidth) {
  ViTConfig config = preset("b16");
  config.num_heads = 7;
  EXPECT_EQ(error_of<UsageError>([&] { config.validate(); }),
            "model.embed_dim 768 is no multiple of model.num_heads 7");
}

TEST(ViTConfig, HugeSizesAreRefusedBeforeTheyOverflow) {
  ViTConfig config = preset("b16");
  config.embed_dim = int64_t{1} << 40;
  EXPECT_NE(error_of<UsageError>([&] { config.validate(); }).find("want 1 to 1,000,000"),
            std::string::npos);
}

TEST(ViTConfig, Flops22bAreThePublishedOnes) {
  ViTConfig config = preset("22b14");
  // 2 * 21,743,271,936 * 256 + 4 * 256^2 * 6144 * 48 + 2 * 588 * 6144 * 256
  EXPECT_DOUBLE_EQ(forward_flops(config), 11'211'714'330'624.0);
  EXPECT_NEAR(forward_flops(config) / 1e12, 11.21, 0.005);
  EXPECT_NEAR(train_flops(config) / 1e12, 3 * 11.21, 0.015);
}

TEST(ViTConfig, AWordThatIsNoChoiceNamesTheNearest) {
  const auto refusal = [](const std::function<void(ViTConfig&)>& change) {
    ViTConfig config = preset("b16");
    change(config);
    return error_of<UsageError>([&] { config.validate(); });
  };
  EXPECT_EQ(
      refusal([](ViTConfig& c) { c.mlp.act_layer = "gelu_tan"; }),
      "model.act_layer is 'gelu_tan', want one of gelu_tanh, gelu, quick_gelu, silu (did you mean "
      "'gelu_tanh'?)");
  EXPECT_NE(
      refusal([](ViTConfig& c) { c.pool.global_pool = "max"; }).find("model.global_pool is 'max'"),
      std::string::npos);
  EXPECT_NE(
      refusal([](ViTConfig& c) { c.norm.norm_layer = "simplenorm"; }).find("model.norm_layer"),
      std::string::npos);
  EXPECT_NE(
      refusal([](ViTConfig& c) { c.tokens.posemb_resize = "nearest"; }).find("model.posemb_resize"),
      std::string::npos);
  EXPECT_NE(refusal([](ViTConfig& c) { c.block = "post"; }).find("model.block"), std::string::npos);
}

TEST(ViTConfig, AMillionBlocksAreRefused) {
  ViTConfig config = preset("b16");
  config.depth = 1'000'000;
  EXPECT_EQ(error_of<UsageError>([&] { config.validate(); }),
            "model.depth is 1000000, want 1 to 1,000");
}

TEST(ViTConfig, AnImportedModelsNameNeedsItsSizes) {
  ViTConfig config = preset("ti16", "serial");
  config.name = "vit_tiny_patch16_224";
  const std::string text = to_toml([&](FieldVisitor& v) { config.fields(v); });
  ViTConfig again = model_from_tree(read_config_text(text, "m.toml"));
  EXPECT_EQ(to_toml([&](FieldVisitor& v) { again.fields(v); }), text);
  EXPECT_NE(error_of<UsageError>([] {
              model_from_tree(read_config_text("name = \"vit_tiny_patch16_224\"", "m.toml"));
            }).find("no model preset 'vit_tiny_patch16_224'"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
