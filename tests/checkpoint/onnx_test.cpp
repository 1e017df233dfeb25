#include <gtest/gtest.h>

#include "checkpoint/convert.h"
#include "checkpoint/export/onnx/messages.h"
#include "checkpoint/export/onnx/model.h"
#include "checkpoint/export/onnx/weights.h"
#include "core/error.h"
#include "model/initialise.h"
#include "support/files.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;

/// Bytes as pairs of hexadecimal digits, spaces between them or not.
std::string hex(const std::string& bytes) {
  std::string text;
  for (const char byte : bytes) {
    char pair[4];
    std::snprintf(pair, sizeof pair, text.empty() ? "%02x" : " %02x",
                  static_cast<unsigned char>(byte));
    text += pair;
  }
  return text;
}

ViTConfig small_config(const std::string& block = "parallel") {
  ViTConfig config = preset("test8", block);
  config.img_size = {8, 16};
  config.patch_size = 4;
  config.embed_dim = 12;
  config.num_heads = 3;
  config.mlp.mlp_ratio = 2.5;
  config.num_classes = 5;
  return config;
}

at::Tensor random_value(const ParameterRow& row) {
  return randomised_tensor(row, 3);
}

/// A folder of ours.
fs::path written(const TempFolder& folder, const ViTConfig& config,
                 const std::vector<std::string>& labels = {}) {
  FileOps ops(ExitCode::kCheckpoint);
  Manifest manifest;
  fs::create_directories(folder / "model");
  write_model(ops, folder / "model", ModelInfo{config, default_pp_eval(config), labels},
              random_value, {}, manifest);
  return folder / "model";
}

Conversion converted(const fs::path& from, const fs::path& to, ConvertOptions options = {}) {
  options.format = kOnnxFormat;
  FileOps ops(ExitCode::kCheckpoint);
  return convert_checkpoint(ops, resolve_checkpoint(from), to, options);
}

std::string refusal(const fs::path& from, const fs::path& to, const ConvertOptions& options = {}) {
  return error_of<UsageError>([&] { converted(from, to, options); });
}

/// A graph of two tensors, 2,048 bytes and 4, added to an input.
OnnxModel two_tensors(int* asked = nullptr) {
  OnnxModel model{{}, "two"};
  OnnxGraph& graph = model.graph;
  const OnnxValue x = graph.input({"x", {"n", 512}});
  const OnnxValue large = graph.tensor({"large", {512}, OnnxType::kFloat, [asked] {
                                          if (asked != nullptr) ++*asked;
                                          return at::arange(512, at::kFloat);
                                        }});
  graph.output(graph.add("Add", {graph.add("Add", {x, large}), graph.real(0.5)}),
               {"y", {"n", 512}});
  return model;
}

TEST(WireMessage, HasTheBytesOfTheFormatsOwnExamples) {
  EXPECT_EQ(hex(WireMessage().number(1, 150).bytes()), "08 96 01");
  EXPECT_EQ(hex(WireMessage().text(2, "testing").bytes()), "12 07 74 65 73 74 69 6e 67");
  EXPECT_EQ(hex(WireMessage().message(3, WireMessage().number(1, 150)).bytes()), "1a 03 08 96 01");
}

TEST(WireMessage, HasTenBytesForMinusOneAndTwoForFieldsFromSixteenOn) {
  EXPECT_EQ(hex(WireMessage().number(1, -1).bytes()), "08 ff ff ff ff ff ff ff ff ff 01");
  EXPECT_EQ(hex(WireMessage().number(20, 7).bytes()), "a0 01 07");
  EXPECT_EQ(hex(WireMessage().number(1, 0).bytes()), "08 00");
  EXPECT_EQ(hex(WireMessage().real(2, 1.0F).bytes()), "15 00 00 80 3f");
  EXPECT_EQ(hex(WireMessage().numbers(8, std::vector<int64_t>{1, 300}).bytes()), "40 01 40 ac 02");
  EXPECT_EQ(hex(WireMessage().head(9, 300).bytes()), "4a ac 02");
}

TEST(OnnxMessages, AreOnnxsProtosByteForByte) {
  const OnnxNode node{"n", "Softmax", {"x", ""}, {"y"}, {{"axis", -1}, {"eps", 1.0}}};
  EXPECT_EQ(hex(node_message(node).bytes()),
            "0a 01 78 0a 00 12 01 79 1a 01 6e 22 07 53 6f 66 74 6d 61 78 "
            "2a 14 0a 04 61 78 69 73 18 ff ff ff ff ff ff ff ff ff 01 a0 01 02 "
            "2a 0d 0a 03 65 70 73 15 00 00 80 3f a0 01 01");
  EXPECT_EQ(hex(port_message({"x", {"n", 3}}).bytes()),
            "0a 01 78 12 0f 0a 0d 08 01 12 09 0a 03 12 01 6e 0a 02 08 03");
  const OnnxTensor tensor{"w", {2, 3}, OnnxType::kInt64, {}};
  EXPECT_EQ(hex(tensor_message(tensor, std::nullopt).bytes()), "08 02 08 03 10 07 42 01 77");
  EXPECT_EQ(tensor_message(tensor, OnnxPlace{"f", 4096}).bytes(),
            std::string("\x08\x02\x08\x03\x10\x07\x42\x01w") + "\x6a\x0d\x0a\x08location\x12\x01" +
                "f\x6a\x0e\x0a\x06offset\x12\x04" + "4096\x6a\x0c\x0a\x06length\x12\x02" +
                "48\x70\x01");
}

TEST(OnnxFile, HasItsFieldsInOrderAndItsTensorsLast) {
  const TempFolder folder;
  FileOps ops;
  OnnxModel model{{}, "m", {{"k", "grün"}}};
  model.graph.output(model.graph.add("Neg", {model.graph.number(3)}), {"y", {}});
  write_onnx(ops, folder / "m.onnx", model);
  const std::string bytes = test::read_file(folder / "m.onnx");
  EXPECT_EQ(hex(bytes.substr(0, 10)), "08 08 12 06 76 69 74 32 32 62");
  // Operators 18; metadata; the graph: two nodes, its name, an output, and a tensor whose eight
  // bytes come last.
  const size_t operators = bytes.find(std::string("\x42\x04\x0a\x00\x10\x12", 6));
  ASSERT_NE(operators, std::string::npos);
  EXPECT_EQ(bytes.substr(operators + 6, 12), "\x72\x0a\x0a\x01k\x12\x05gr\xc3\xbcn");
  EXPECT_EQ(hex(bytes.substr(operators + 18)),
            "3a 63 "
            "0a 1f 0a 08 6e 75 6d 62 65 72 2f 33 12 06 2f 4e 65 67 5f 30 1a 06 2f 4e 65 67 5f 30 "
            "22 03 4e 65 67 "
            "0a 18 0a 06 2f 4e 65 67 5f 30 12 01 79 1a 01 79 22 08 49 64 65 6e 74 69 74 79 "
            "12 01 6d "
            "62 0b 0a 01 79 12 06 0a 04 08 01 12 00 "
            "2a 16 10 07 42 08 6e 75 6d 62 65 72 2f 33 4a 08 03 00 00 00 00 00 00 00");
}

TEST(OnnxFile, KeepsLargeTensorsBesideItAboveAThresholdAndSmallOnesInside) {
  const TempFolder folder;
  FileOps ops;
  write_onnx(ops, folder / "in.onnx", two_tensors(), 2052);
  EXPECT_FALSE(fs::exists(folder / "in.onnx.data"));
  write_onnx(ops, folder / "out.onnx", two_tensors(), 2051);
  const std::string data = test::read_file(folder / "out.onnx.data"),
                    model = test::read_file(folder / "out.onnx");
  ASSERT_EQ(data.size(), 2048U);
  EXPECT_EQ(hex(data.substr(4, 4)), "00 00 80 3f");  // 1.0
  EXPECT_NE(test::read_file(folder / "in.onnx").find(data), std::string::npos);
  EXPECT_EQ(model.find(data), std::string::npos);
  EXPECT_NE(model.find("out.onnx.data"), std::string::npos);
  EXPECT_NE(model.find(std::string("\x4a\x04\x00\x00\x00\x3f", 6)), std::string::npos);  // 0.5
}

TEST(OnnxFile, BeginsEachTensorBesideItAtAPage) {
  const TempFolder folder;
  FileOps ops;
  OnnxModel model = two_tensors();
  model.graph.tensor({"second", {1024}, OnnxType::kFloat, [] { return at::ones({1024}); }});
  write_onnx(ops, folder / "m.onnx", model, 0);
  const std::string data = test::read_file(folder / "m.onnx.data");
  ASSERT_EQ(data.size(), 4096U + 4096U);
  EXPECT_EQ(data.substr(2048, 2048), std::string(2048, '\0'));
  EXPECT_EQ(hex(data.substr(4096, 4)), "00 00 80 3f");
}

TEST(OnnxFile, AsksForEachTensorOnceAndOnlyWhenItIsWritten) {
  const TempFolder folder;
  FileOps ops;
  int asked = 0;
  const OnnxModel model = two_tensors(&asked);
  EXPECT_EQ(asked, 0);
  write_onnx(ops, folder / "m.onnx", model, 0);
  EXPECT_EQ(asked, 1);
}

TEST(OnnxFile, TakesNobodysPlace) {
  const TempFolder folder;
  FileOps ops;
  const auto said = [&](const char* name) {
    test::write_file(folder / name, "mine");
    const std::string text =
        error_of<UsageError>([&] { write_onnx(ops, folder / "m.onnx", two_tensors(), 0); });
    EXPECT_EQ(test::read_file(folder / name), "mine");
    fs::remove(folder / name);
    return text;
  };
  EXPECT_EQ(said("m.onnx"),
            (folder / "m.onnx").string() + " is there already; choose another name, or remove it");
  EXPECT_EQ(said("m.onnx.data"), (folder / "m.onnx.data").string() +
                                     " is there already; choose another name, or remove it");
  EXPECT_TRUE(fs::is_empty(folder.path()));
  const fs::path odd = folder / "\xff.onnx";
  EXPECT_EQ(error_of<UsageError>([&] { write_onnx(ops, odd, two_tensors(), 0); }),
            (folder / "\\xff.onnx").string() +
                ": the model names the file of its weights, and this name is no UTF-8; choose "
                "another one");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

/// A disk that is full after some calls of write.
class FullDisk : public FileOps {
 public:
  explicit FullDisk(int writes) : FileOps(ExitCode::kCheckpoint), left_(writes) {}
  void write(int descriptor, std::span<const std::byte> bytes, const fs::path& path) override {
    if (left_-- <= 0) throw CheckpointError(path.string(), ": no space left");
    FileOps::write(descriptor, bytes, path);
  }

 private:
  int left_;
};

TEST(OnnxFile, LeavesNothingOnAFullDisk) {
  const TempFolder folder;
  for (int writes = 0; writes < 6; ++writes) {
    FullDisk ops(writes);
    EXPECT_NE(
        error_of<CheckpointError>([&] { write_onnx(ops, folder / "m.onnx", two_tensors(), 0); }),
        "(nothing thrown)")
        << writes;
    EXPECT_TRUE(fs::is_empty(folder.path())) << writes;
  }
}

TEST(OnnxWeights, HaveEveryElementOfEveryParameterOnce) {
  const ViTConfig config = small_config();
  const std::vector<ParameterRow> table = parameter_table(config);
  OnnxGraph graph;
  OnnxWeights weights(graph, table, random_value);
  for (const ParameterRow& row : table)
    if (row.name != "head.bias") weights.plain(row.name);
  EXPECT_EQ(error_of<InternalError>([&] { weights.check_all_used(); }),
            "ONNX: of the parameter 'head.bias' not every element is in the graph once");
  weights.plain("head.bias", {1, 4});
  EXPECT_EQ(graph.tensors().back().name, "head.bias[1:5]");
  EXPECT_NE(error_of<InternalError>([&] { weights.check_all_used(); }), "(nothing thrown)");
  weights.plain("head.bias", {0, 1});
  weights.check_all_used();
  EXPECT_TRUE(at::equal(graph.tensors().back().value(), random_value(table.back()).slice(0, 0, 1)));
}

TEST(OnnxConversion, IsOfAModelsWholeTable) {
  const TempFolder folder;
  for (const char* block : {"parallel", "serial"}) {
    const ViTConfig config = small_config(block);
    const fs::path file = folder / concat(block, "/", block, ".onnx");
    const Conversion done = converted(written(folder, config), file);
    std::set<std::string> from;
    for (const ConvertedTensor& tensor : done.tensors)
      from.insert(tensor.from.begin(), tensor.from.end());
    EXPECT_EQ(from.size(), parameter_table(config).size());
    EXPECT_TRUE(fs::exists(file));
  }
}

TEST(OnnxConversion, HasNamesOfAnyLetters) {
  const TempFolder folder;
  const std::vector<std::string> names = {"grün", "猫", "a\"b\\c", "line\nend", "🦊"};
  converted(written(folder, small_config(), names), folder / "m.onnx");
  const std::string model = test::read_file(folder / "m.onnx");
  EXPECT_NE(model.find("[\"grün\",\"猫\",\"a\\\"b\\\\c\",\"line\\nend\",\"🦊\"]"),
            std::string::npos);
}

TEST(OnnxConversion, SaysPixelsAndFieldsAsNumbers) {
  const TempFolder folder;
  ModelInfo info{small_config(), "decode|rgb|normalize(0.485,0.456,0.406,0.229,0.224,0.225)", {}};
  const OnnxModel model = onnx_model(info, parameter_table(info.config), random_value, nullptr);
  const std::map<std::string, std::string> said(model.metadata.begin(), model.metadata.end());
  EXPECT_EQ(said.at("mean"), "[0.485,0.456,0.406]");
  EXPECT_EQ(said.at("std"), "[0.229,0.224,0.225]");
  EXPECT_EQ(said.at("image_size"), "[8,16]");
  EXPECT_NE(said.at("function").find("{\"block\":\"parallel\",\"img_size\":"), std::string::npos);
  EXPECT_NE(said.at("function").find("\"qk_norm\":true,"), std::string::npos);
}

TEST(OnnxConversion, RefusesWhatItDoesNotWriteByName) {
  const TempFolder folder;
  const fs::path out = folder / "m.onnx";
  const auto of = [&](const std::function<void(ViTConfig&)>& change) {
    ViTConfig config = small_config("serial");
    change(config);
    return refusal(written(folder, config), out);
  };
  EXPECT_EQ(of([](ViTConfig& c) { c.plex.head = "heteroscedastic"; }),
            "--to onnx: the logits of 'test8' are a mean over noise (model.head=heteroscedastic), "
            "which is not written yet; --no-head leaves the classifier behind");
  EXPECT_EQ(
      of([](ViTConfig& c) { c.plex.batch_ensemble_blocks = 1; }),
      "--to onnx: the last blocks of 'test8' are an ensemble's (model.batch_ensemble_blocks), "
      "which is not written yet");
  ViTConfig words = small_config();
  words.text.vocab_size = 9;
  EXPECT_EQ(error_of<UsageError>([&] { check_onnx(words); }),
            "--to onnx: 'test8' reads words (model.vocab_size); text towers are not written yet");
  EXPECT_FALSE(fs::exists(out));
}

TEST(OnnxConversion, RefusesOptionsOfFolders) {
  const TempFolder folder;
  const fs::path from = written(folder, small_config());
  EXPECT_EQ(refusal(from, "out"),
            "--to onnx writes a file: want a name that ends in .onnx, not out");
  ConvertOptions options;
  options.layout.dtype = at::kBFloat16;
  EXPECT_EQ(refusal(from, folder / "m.onnx", options),
            "--to onnx: weights are written in fp32; --dtype bf16 is not: runtimes differ in how "
            "they compute with such");
  options.layout = {at::kFloat, 1000};
  EXPECT_EQ(refusal(from, folder / "m.onnx", options),
            "--to onnx: weights lie in the file, or above 2 GB in one beside it; leave "
            "--shard-size away");
}

// A new field of the function has to be written, or refused, before it stands here.
TEST(OnnxConversion, KnowsEveryFieldOfTheFunction) {
  const std::set<std::string> known = {
      // Written.
      "block", "img_size", "patch_size", "in_chans", "embed_dim", "depth", "num_heads",
      "init_values", "num_classes", "qkv_bias", "qk_norm", "qk_norm_width", "proj_bias",
      "mlp_ratio", "mlp_hidden", "swiglu", "act_layer", "fc_norm", "final_norm", "pre_norm",
      "embed_norm", "post_norm", "attn_norm", "mlp_norm", "norm_layer", "norm_eps", "class_token",
      "reg_tokens", "no_embed_class", "drop_edge", "pos_embed", "posemb_resize", "rope",
      "rope_theta", "rope_half", "rope_xy", "rope_offset", "rope_bf16", "rope_ref", "global_pool",
      "pool_include_prefix", "pool_heads", "pool_mlp_ratio", "pool_act", "pool_mlp", "joint_dim",
      // Of nothing that is computed.
      "name", "head_bias_init", "batch_ensemble_sign",
      // Refused.
      "vocab_size", "context_length", "causal", "text_pool", "eos_id", "head", "head_factors",
      "head_samples", "head_temperature", "head_link", "batch_ensemble_blocks",
      "batch_ensemble_size"};
  ViTConfig config;
  for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
    EXPECT_EQ(known.count(field.key), 1U) << field.key << " is not known to the ONNX writer";
}

}  // namespace
}  // namespace vit22b
