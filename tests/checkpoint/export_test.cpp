#include <gtest/gtest.h>

#include "checkpoint/container/containers.h"
#include "checkpoint/export/exporter.h"
#include "checkpoint/model_writer.h"
#include "core/error.h"
#include "model/giants.h"
#include "model/initialise.h"
#include "support/files.h"
#include "support/tensors.h"

namespace vit22b {
namespace {

using test::error_of;
using test::TempFolder;

/// A published model, narrow and of two blocks.
ViTConfig narrow(const std::string& name) {
  ViTConfig c = *giant(name);
  c.embed_dim = 96;
  c.depth = 2;
  c.num_heads = 4;
  c.mlp.mlp_hidden = name == "dinov2_g" ? 256 : name == "pe_core_g" ? 560 : 192;
  c.img_size = {2 * c.patch_size, 2 * c.patch_size};
  if (c.pool.pool_heads > 0) c.pool.pool_heads = 2;
  c.validate();
  return c;
}

std::filesystem::path written(const TempFolder& folder, const ViTConfig& config,
                              const std::string& format, const WeightLayout& layout = {}) {
  FileOps ops(ExitCode::kCheckpoint);
  Manifest manifest;
  const std::vector<ParameterRow> table = parameter_table(config);
  const ModelInfo info{config, default_pp_eval(config), {}};
  write_model(
      ops, folder.path(), export_model(format, info, table),
      [](const ParameterRow& row) { return randomised_tensor(row, 3); }, layout, manifest);
  return folder.path();
}

class Giants : public testing::TestWithParam<std::string> {};

TEST_P(Giants, AreReadBackFromTheirFamilysFilesAsTheyWere) {
  const ViTConfig config = narrow(GetParam());
  for (const int64_t shard_bytes : {0, 60'000}) {
    const TempFolder folder;
    const CheckpointPath path = resolve_checkpoint(written(
        folder, config, GetParam() == "pe_core_g" ? "timm" : "hf", {at::kFloat, shard_bytes}));
    const ModelInfo info = read_model_info(path);
    const std::vector<ParameterRow> table = parameter_table(info.config);
    ASSERT_EQ(table.size(), parameter_table(config).size());
    EXPECT_EQ(info.config.img_size.height, config.img_size.height);
    EXPECT_EQ(info.config.norm.norm_eps, config.norm.norm_eps);
    const NamedTensors weights = load_weights(path, table);
    for (const ParameterRow& row : table) {
      const at::Tensor& got = weights.at(row.name);
      // Families whose patches or projections have no bias take zeros for it.
      const bool is_granted = (row.name == "patch_embed.proj.bias" && config.norm.pre_norm) ||
                              (row.name == "head.bias" && config.embeds_images());
      const at::Tensor want =
          is_granted ? at::zeros(row.shape) : randomised_tensor(row, 3).reshape(got.sizes());
      EXPECT_TRUE(test::is_same(got, want)) << row.name;
    }
  }
}

TEST_P(Giants, HaveTheirFamilysPixelsAndNotAPlainViTs) {
  ViTConfig plain = *giant(GetParam());
  const std::string own = default_pp_eval(plain);
  plain.name = "plain";
  EXPECT_NE(own, default_pp_eval(plain));
}

INSTANTIATE_TEST_SUITE_P(All, Giants, testing::ValuesIn(giant_names()),
                         [](const auto& sizes) { return sizes.param; });

TEST(Export, SaysWhatAFamilyWouldComputeOtherwise) {
  const TempFolder folder;
  ViTConfig config = narrow("dinov3_7b");
  config.rotary.rope_theta = 100;
  config.rotary.rope_half = false;
  EXPECT_EQ(error_of<UsageError>([&] { written(folder, config, "hf"); }),
            "--to hf: as hf_dinov3 has it, 'dinov3_7b' would be another function:\n"
            "  rope_half is true, here false");
  config = narrow("dinov3_7b");
  config.img_size = {32, 64};
  EXPECT_EQ(error_of<UsageError>([&] { written(folder, config, "hf"); }),
            "--to hf: as hf_dinov3 has it, 'dinov3_7b' would be another function:\n"
            "  img_size is 32x32, here 32x64");
  config.num_classes = 3;
  EXPECT_EQ(error_of<UsageError>([&] { written(folder, config, "hf"); }),
            "--to hf: its families' image towers are written without a classifier; num_classes=0");
  ViTConfig plain = preset("ti16");
  plain.num_classes = 0;
  EXPECT_EQ(error_of<UsageError>([&] { written(folder, plain, "hf"); }),
            "--to hf: no family of Hugging Face's that is written has a model like 'ti16'; "
            "--to timm, or leave --to away");
  EXPECT_EQ(error_of<UsageError>([&] { written(folder, narrow("eva_clip_18b"), "timm"); }),
            "--to timm: no architecture of timm's computes what 'eva_clip_18b' does");
}

TEST(Export, OfTimmsOwnClassHasNoFieldsOfOurs) {
  const TempFolder folder;
  ViTConfig config = preset("test8", "serial");
  config.num_classes = 3;
  config.img_size = {16, 16};
  written(folder, config, "timm");
  EXPECT_EQ(read_model_info(folder.path()).family, "timm");
}

}  // namespace
}  // namespace vit22b
