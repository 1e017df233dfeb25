#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/containers.h"
#include "checkpoint/convert.h"
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

TEST(Export, RefusesWhatAFamilyWouldTellByTensorsThatItNeverHas) {
  const auto refusal = [](const std::string& name, const std::function<void(ViTConfig&)>& change) {
    const TempFolder folder;
    ViTConfig config = narrow(name);
    change(config);
    return error_of<UsageError>([&] { written(folder, config, "hf"); });
  };
  const auto none = [](const std::string& name) {
    return concat("--to hf: no family of Hugging Face's that is written has a model like '", name,
                  "'; --to timm, or leave --to away");
  };
  for (const char* name : {"dinov3_7b", "siglip2_giant", "dinov2_g", "clip_bigg"}) {
    EXPECT_EQ(refusal(name, [](ViTConfig& c) { c.attention.qk_norm = true; }), none(name)) << name;
    EXPECT_EQ(refusal(name, [](ViTConfig& c) { c.norm.mlp_norm = true; }), none(name)) << name;
  }
  EXPECT_EQ(refusal("dinov3_7b", [](ViTConfig& c) { c.norm.norm_layer = "rmsnorm"; }),
            none("dinov3_7b"));
  EXPECT_EQ(refusal("clip_bigg", [](ViTConfig& c) { c.attention.qkv_bias = false; }),
            none("clip_bigg"));
}

nlohmann::ordered_json timm_config(const ViTConfig& config,
                                   const std::vector<std::string>& names = {}) {
  const ModelInfo info{config, default_pp_eval(config), names};
  return nlohmann::ordered_json::parse(
      export_model("timm", info, parameter_table(config)).texts.at("config.json"));
}

TEST(Export, OfATowerBesideTextsHasTheProjectionAsTimmsClassifier) {
  ViTConfig config = preset("test8", "serial");
  config.text.joint_dim = 24;
  config.num_classes = 0;
  const auto json = timm_config(config);
  EXPECT_EQ(json.at("num_classes"), 24);
  EXPECT_EQ(json.at("model_args").at("num_classes"), 24);
  EXPECT_EQ(json.at("pretrained_cfg").at("num_classes"), 24);
}

TEST(Export, ToTimmKeepsTheClassesNames) {
  ViTConfig config = preset("test8", "serial");
  config.num_classes = 2;
  EXPECT_EQ(timm_config(config, {"cat", "dog"}).at("label_names"),
            (std::vector<std::string>{"cat", "dog"}));
}

TEST(Export, ToTimmHasNoBiasOfPatchesBeforeANorm) {
  ViTConfig config = preset("test8", "serial");
  config.norm.pre_norm = true;
  const std::vector<ParameterRow> table = parameter_table(config);
  const WrittenModel model = export_model("timm", {config, default_pp_eval(config), {}}, table);
  for (const WrittenTensor& tensor : model.tensors) EXPECT_NE(tensor.name, "patch_embed.proj.bias");
  EXPECT_EQ(model.tensors.size() + 1, table.size());
}

TEST(Export, OfTimmsOwnClassHasNoFieldsOfOurs) {
  const TempFolder folder;
  ViTConfig config = preset("test8", "serial");
  config.num_classes = 3;
  config.img_size = {16, 16};
  written(folder, config, "timm");
  EXPECT_EQ(read_model_info(folder.path()).family, "timm");
}

/// A small model of big_vision's kind.
ViTConfig flax_config(const std::string& pool) {
  ViTConfig config = preset("test8", "serial");
  config.img_size = {12, 12};
  config.patch_size = 4;
  config.embed_dim = 24;
  config.depth = 3;
  config.num_heads = 3;
  config.mlp.mlp_hidden = 40;
  config.num_classes = 5;
  config.tokens.class_token = pool == "token";
  config.pool.global_pool = pool;
  config.tokens.posemb_resize = "bilinear";
  config.validate();
  return config;
}

/// A folder of ours.
std::filesystem::path own_folder(const TempFolder& folder, const ViTConfig& config) {
  FileOps ops(ExitCode::kCheckpoint);
  Manifest manifest;
  std::filesystem::create_directories(folder / "own");
  write_model(
      ops, folder / "own", ModelInfo{config, default_pp_eval(config), {}},
      [](const ParameterRow& row) { return randomised_tensor(row, 3); }, {}, manifest);
  return folder / "own";
}

Conversion to_npz(const TempFolder& folder, const ViTConfig& config, ConvertOptions options = {}) {
  options.format = kNpzFormat;
  FileOps ops(ExitCode::kCheckpoint);
  const std::filesystem::path own = own_folder(folder, config);
  return convert_checkpoint(ops, resolve_checkpoint(own), folder / "a.npz", options);
}

TEST(NpzExport, IsReadBackAsItWasBitByBit) {
  for (const char* pool : {"token", "map", "avg"})
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const TempFolder folder;
      const ViTConfig config = flax_config(pool);
      to_npz(folder, config, {.format = "", .layout = {dtype}});
      const ModelInfo info = read_model_info(resolve_checkpoint(folder / "a.npz"));
      EXPECT_EQ(info.config.num_heads, config.num_heads);
      EXPECT_EQ(info.config.img_size.height, config.img_size.height);
      EXPECT_EQ(info.config.pool.global_pool, config.pool.global_pool);
      const std::vector<ParameterRow> table = parameter_table(info.config);
      ASSERT_EQ(table.size(), parameter_table(config).size());
      const NamedTensors weights = load_weights(resolve_checkpoint(folder / "a.npz"), table);
      for (const ParameterRow& row : table) {
        const at::Tensor want = randomised_tensor(row, 3).to(held_type(row, dtype)).to(at::kFloat);
        EXPECT_TRUE(test::is_same(weights.at(row.name), want)) << pool << ' ' << row.name;
      }
    }
}

TEST(NpzExport, SaysFromWhatEachArrayIsMade) {
  const TempFolder folder;
  const Conversion done = to_npz(folder, flax_config("map"));
  const TensorContainer container = open_container(folder / "a.npz");
  EXPECT_EQ(container.names().size(), done.tensors.size());
  const std::string block = "params/Transformer/encoderblock_2/";
  const std::map<std::string, std::pair<std::string, std::vector<int64_t>>> want = {
      {"params/embedding/kernel", {"patch_embed.proj.weight", {4, 4, 3, 24}}},
      {block + "MultiHeadDotProductAttention_0/key/kernel",
       {"blocks.2.attn.qkv.weight", {24, 3, 8}}},
      {block + "MultiHeadDotProductAttention_0/key/bias", {"blocks.2.attn.qkv.bias", {3, 8}}},
      {block + "MultiHeadDotProductAttention_0/out/kernel",
       {"blocks.2.attn.proj.weight", {3, 8, 24}}},
      {block + "MlpBlock_0/Dense_0/kernel", {"blocks.2.mlp.fc1.weight", {24, 40}}},
      {block + "LayerNorm_1/scale", {"blocks.2.norm2.weight", {24}}},
      {"params/MAPHead_0/probe", {"attn_pool.latent", {1, 1, 24}}},
      {"params/MAPHead_0/MultiHeadDotProductAttention_0/value/kernel",
       {"attn_pool.kv.weight", {24, 3, 8}}},
      {"params/head/kernel", {"head.weight", {24, 5}}}};
  size_t found = 0;
  for (const ConvertedTensor& tensor : done.tensors) {
    const auto one = want.find(tensor.name);
    if (one == want.end()) continue;
    ++found;
    EXPECT_EQ(tensor.from, std::vector{one->second.first}) << tensor.name;
    EXPECT_EQ(container.tensor(tensor.name).shape, one->second.second) << tensor.name;
  }
  EXPECT_EQ(found, want.size());
}

TEST(NpzExport, RefusesByNameWhatFilesWithoutAConfigCannotSay) {
  const auto refusal = [](const std::function<void(ViTConfig&)>& change) {
    const TempFolder folder;
    ViTConfig config = flax_config("token");
    change(config);
    return error_of<UsageError>([&] { to_npz(folder, config); });
  };
  EXPECT_EQ(refusal([](ViTConfig& c) { c.norm.norm_eps = 1e-5; }),
            "--to npz: as big_vision has it, 'test8' would be another function:\n"
            "  norm_eps is 1e-06, here 1e-05");
  EXPECT_EQ(refusal([](ViTConfig& c) { c.mlp.act_layer = "silu"; }),
            "--to npz: as big_vision has it, 'test8' would be another function:\n"
            "  act_layer is \"gelu\", here \"silu\"");
  const auto lacks = [](const std::string& what) {
    return concat("--to npz: 'test8' has ", what,
                  ", which big_vision's models have not; --to timm, or leave --to away");
  };
  EXPECT_EQ(refusal([](ViTConfig& c) { c.tokens.reg_tokens = 2; }), lacks("reg_tokens"));
  EXPECT_EQ(refusal([](ViTConfig& c) {
              c.img_size = {12, 24};
            }),
            lacks("pictures that are not square (img_size)"));
  EXPECT_EQ(refusal([](ViTConfig& c) { c.attention.qkv_bias = false; }), lacks("qkv_bias=false"));
  EXPECT_EQ(refusal([](ViTConfig& c) { c.tokens.pos_embed = "none"; }),
            lacks("no learnt table of positions (pos_embed)"));
  EXPECT_EQ(refusal([](ViTConfig& c) {
              c.tokens.class_token = false;
              c.pool.global_pool = "map";
              c.pool.pool_mlp = false;
            }),
            lacks("pool_mlp=false"));
}

TEST(NpzExport, WritesEitherFormOfGeluWhichReadersTakeForGranted) {
  const TempFolder folder;
  ViTConfig config = flax_config("token");
  config.mlp.act_layer = "gelu_tanh";
  to_npz(folder, config);
  const auto read = [&](const std::string& given) {
    return read_model_info(resolve_checkpoint((folder / "a.npz").string() + given))
        .config.mlp.act_layer;
  };
  EXPECT_EQ(read(""), "gelu");
  EXPECT_EQ(read("?act_layer=gelu_tanh"), "gelu_tanh");
}

TEST(Convert, SaysWhatIsNoFiniteNumber) {
  const TempFolder folder;
  FileOps ops(ExitCode::kCheckpoint);
  Manifest manifest;
  const ViTConfig config = flax_config("token");
  std::filesystem::create_directories(folder / "own");
  write_model(
      ops, folder / "own", ModelInfo{config, default_pp_eval(config), {}},
      [](const ParameterRow& row) {
        at::Tensor value = randomised_tensor(row, 3);
        if (row.name == "norm.weight") value[1] = INFINITY;
        return value;
      },
      {}, manifest);
  testing::internal::CaptureStderr();
  convert_checkpoint(ops, resolve_checkpoint(folder / "own"), folder / "timm", {.format = "timm"});
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("1 of the tensors have values that are no finite numbers in float32, the "
                      "first is 'norm.weight'"),
            std::string::npos)
      << text;
}

TEST(NpzExport, LeavesNothingHalfWrittenAndNothingOfOthersTouched) {
  const TempFolder folder;
  int calls = 0;
  ConvertOptions options;
  options.on_tensor = [&] {
    if (++calls == 20) throw UsageError("stopped");
  };
  EXPECT_EQ(error_of<UsageError>([&] { to_npz(folder, flax_config("token"), options); }),
            "stopped");
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename(), "own");
  test::write_file(folder / "a.npz", "mine");
  EXPECT_EQ(error_of<UsageError>([&] { to_npz(folder, flax_config("token")); }),
            (folder / "a.npz").string() + " is there already; choose another name, or remove it");
  EXPECT_EQ(test::read_file(folder / "a.npz"), "mine");
}

}  // namespace
}  // namespace vit22b
