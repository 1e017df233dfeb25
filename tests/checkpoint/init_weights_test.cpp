#include "checkpoint/init_weights.h"

#include <gtest/gtest.h>

#include "checkpoint/weights.h"
#include "core/error.h"
#include "support/files.h"
#include "support/memory_meter.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;

constexpr double kFresh = 5;

/// A start from an oracle's folder of a model that differs in what `change` does.
struct Started {
  explicit Started(const std::string& oracle, const std::function<void(ViTConfig&)>& change = {},
                   const InitChoice& choice = {})
      : folder(test::source_path("tests/oracle/" + oracle)) {
    model.config = read_model_info(folder).config;
    if (change) change(model.config);
    const InitWeights start(folder, model, choice);
    for (const ParameterRow& row : parameter_table(model.config))
      weights[row.name] = start.value(row, at::full(row.shape, kFresh));
    notes = start.notes();
  }
  bool is_fresh(const std::string& name) const {
    return weights.at(name).eq(kFresh).all().item<bool>();
  }
  bool says(const std::string& text) const {
    return std::any_of(notes.begin(), notes.end(), [&](const std::string& note) {
      return note.find(text) != std::string::npos;
    });
  }

  std::filesystem::path folder;
  ModelInfo model;
  NamedTensors weights;
  std::vector<std::string> notes;
};

std::string refusal(const std::string& oracle, const std::function<void(ViTConfig&)>& change,
                    const InitChoice& choice = {}) {
  return error_of<CheckpointError>([&] { Started(oracle, change, choice); });
}

TEST(InitWeights, ReplacesAnotherHeadAndMovesThePositions) {
  const Started started("timm_parallel", [](ViTConfig& c) {
    c.num_classes = 3;
    c.img_size = {16, 16};
  });
  EXPECT_TRUE(started.says("head: fresh for 3 classes, the checkpoint has 7"));
  EXPECT_TRUE(started.says("position table: moved from 2x3 to 4x4"));
  EXPECT_TRUE(started.says("left: head.bias, head.weight (2 tensors)"));
  EXPECT_TRUE(started.is_fresh("head.weight"));
  EXPECT_TRUE(test::is_same(started.weights.at("blocks.0.in_proj.weight"),
                            open_weights(started.folder).load("blocks.0.in_proj.weight")));
}

TEST(InitWeights, SkippedNamesKeepTheirFreshValues) {
  const Started started("timm_parallel", {}, {{"blocks.*"}, {}});
  EXPECT_TRUE(started.is_fresh("blocks.1.mlp_bias"));
  EXPECT_FALSE(started.is_fresh("head.bias"));
}

TEST(InitWeights, AnotherFunctionIsRefusedWithWhatDiffers) {
  EXPECT_NE(
      refusal("timm_serial", [](ViTConfig& c) { c.num_heads = 4; }).find("num_heads is 2, here 4"),
      std::string::npos);
  EXPECT_NE(refusal("timm_serial", [](ViTConfig& c) { c.mlp.act_layer = "gelu_tanh"; })
                .find("init_allow=act_layer"),
            std::string::npos);
  EXPECT_NE(refusal("timm_serial", [](ViTConfig& c) { c.init_values = 0; })
                .find("blocks.*.ls1.gamma, blocks.*.ls2.gamma (4 tensors)"),
            std::string::npos);
  EXPECT_NE(refusal("timm_serial", [](ViTConfig& c) { c.depth = 1; }).find("depth is 2, here 1"),
            std::string::npos);
  EXPECT_NE(refusal("timm_serial", [](ViTConfig& c) { c.norm.norm_eps = 1e-5; }).find("norm_eps"),
            std::string::npos);
  EXPECT_NE(refusal("timm_serial_map", [](ViTConfig& c) { c.pool.global_pool = "avg"; })
                .find("global_pool is"),
            std::string::npos);
}

TEST(InitWeights, ADifferenceMayBeNamedByItsFieldOrItsParameters) {
  const auto without_scales = [](ViTConfig& c) { c.init_values = 0; };
  for (const char* pattern : {"init_values", "*.gamma", "init_*"})
    EXPECT_TRUE(
        Started("timm_serial", without_scales, {{}, {pattern}}).says("left: blocks.*.ls1.gamma"))
        << pattern;
  const auto deeper = [](ViTConfig& c) { c.depth = 3; };
  EXPECT_TRUE(Started("timm_serial", deeper, {{"blocks.2.*"}, {}}).says("made new: blocks.*"));
}

TEST(InitWeights, RegistersStayBehindWithTheirPositions) {
  const Started started("timm_serial", [](ViTConfig& c) { c.tokens.reg_tokens = 0; },
                        {{}, {"reg_tokens"}});
  const at::Tensor table = open_weights(started.folder).load("pos_embed");
  EXPECT_TRUE(test::is_same(started.weights.at("pos_embed").slice(1, 0, 1), table.slice(1, 0, 1)));
  EXPECT_TRUE(test::is_same(started.weights.at("pos_embed").slice(1, 1), table.slice(1, 3)));
}

TEST(InitWeights, AGridOfAsManyPatchesInAnotherShapeMoves) {
  const Started started("timm_parallel", [](ViTConfig& c) { c.img_size = {12, 8}; });
  EXPECT_TRUE(started.says("position table: moved from 2x3 to 3x2"));
}

TEST(InitWeights, ThreeChannelsAreSummedIntoOneAndRepeatedForMore) {
  const at::Tensor kernel =
      open_weights(test::source_path("tests/oracle/timm_parallel")).load("patch_embed.proj.weight");
  const Started one("timm_parallel", [](ViTConfig& c) { c.in_chans = 1; });
  EXPECT_TRUE(at::allclose(one.weights.at("patch_embed.proj.weight"), kernel.sum(1, true)));
  const Started five("timm_parallel", [](ViTConfig& c) { c.in_chans = 5; });
  EXPECT_TRUE(at::allclose(five.weights.at("patch_embed.proj.weight").select(1, 4),
                           kernel.select(1, 1) * 0.6));
  EXPECT_TRUE(five.says("patch kernel: for 5 channels, repeats of the checkpoint's 3"));
}

// The pseudo-inverse: a patch that was enlarged gives with the larger kernel what the patch gave.
TEST(InitWeights, APatchKernelOfAnotherSizeGivesTheSameOfAResizedPatch) {
  const at::Tensor kernel =
      open_weights(test::source_path("tests/oracle/timm_parallel")).load("patch_embed.proj.weight");
  const Started started("timm_parallel", [](ViTConfig& c) {
    c.patch_size = 7;
    c.img_size = {14, 21};
  });
  const at::Tensor patch = at::randn({1, 3, 4, 4});
  const at::Tensor larger = at::_upsample_bicubic2d_aa(patch, {7, 7}, /*align_corners=*/false);
  const at::Tensor want = (kernel * patch).sum({1, 2, 3}),
                   got = (started.weights.at("patch_embed.proj.weight") * larger).sum({1, 2, 3});
  EXPECT_LT(test::relative_difference(got, want), 1e-4);
}

// Nothing is read before it is asked for, nor kept after it: as much as the largest tensor lives.
TEST(InitWeights, HoldsNoMoreThanTheTensorThatIsAskedFor) {
  const auto folder = test::source_path("tests/oracle/timm_serial");
  const ModelInfo model = read_model_info(folder);
  int64_t all = 0, largest = 0;
  const test::MemoryMeter meter;
  const InitWeights start(folder, model, {});
  EXPECT_EQ(start.notes().size(), 1u);
  for (const ParameterRow& row : parameter_table(model.config)) {
    start.value(row, at::Tensor());
    all += row.count() * 4;
    largest = std::max(largest, row.count() * 4);
  }
  EXPECT_EQ(meter.held(), 0);
  EXPECT_LE(meter.peak(), 2 * largest);
  EXPECT_LT(4 * largest, all);
}

TEST(InitWeights, AHeadOfClassesOfOtherNamesIsMadeNew) {
  const test::TempFolder folder;
  std::filesystem::copy(test::source_path("tests/oracle/timm_serial"), folder / "m");
  std::string text = test::read_file(folder / "m/config.json");
  text.insert(text.find('{') + 1, R"("label_names": ["a", "b", "c", "d", "e", "f", "g"],)");
  test::write_file(folder / "m/config.json", text);
  const ModelInfo source = read_model_info(folder / "m");
  const auto is_fresh = [&](const std::vector<std::string>& names, const InitChoice& choice) {
    const InitWeights start(folder / "m", {source.config, "", names}, choice);
    for (const ParameterRow& row : parameter_table(source.config))
      if (row.name == "head.weight")
        return start.value(row, at::full(row.shape, kFresh)).eq(kFresh).all().item<bool>();
    return false;
  };
  EXPECT_FALSE(is_fresh(source.label_names, {}));
  EXPECT_TRUE(is_fresh({"b", "a", "c", "d", "e", "f", "g"}, {}));
  EXPECT_FALSE(is_fresh({"b", "a", "c", "d", "e", "f", "g"}, {{}, {"head.*"}}));
}

}  // namespace
}  // namespace vit22b
