#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "support/files.h"
#include "support/program.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// Pictures of four colours with captions that name them, a fresh image tower, and a text tower
/// trained beside it.
class LitCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    std::string rows = "filepath,caption,label,split\n";
    const char* names[] = {"red", "green", "blue", "white"};
    for (int i = 0; i < 80; ++i) {
      const std::string name = names[i % 4], file = concat("p", i, ".png");
      write_png(*folder_ / file, i % 4, i);
      const char* split = i < 64 ? "train" : "test";
      for (const char* text : {"a %s square", "something %s", "this picture is %s"}) {
        std::string caption = text;
        caption.replace(caption.find("%s"), 2, name);
        rows += concat(file, ",", caption, ",", name, ",", split, "\n");
      }
    }
    test::write_file(*folder_ / "m.csv", rows);
    test::write_file(*folder_ / "lit.toml", R"toml(total_steps = 150
eval_steps = 150
ckpt_steps = 75
log_steps = 50
loss = "sigmoid"
[model]
name = "test8"
context_length = 8
[lit]
tokenizer = "train:28"
[data]
source = "manifest"
batch_size = 16
val = "10%"
[schedule]
name = "constant"
[optim]
name = "adamw"
lr = 0.003
)toml");
    ASSERT_EQ(vit("model init test8 img_size=16 num_classes=0 --out " + at("image")).code, 0);
    const Ended lit = vit(line());
    ASSERT_EQ(lit.code, 0) << lit.err;
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string at(const std::string& name) { return (*folder_ / name).string(); }
  static std::string line(const std::string& more = "", const std::string& run = "run") {
    return "lit " + at("lit.toml") + " data.root=" + at("m.csv") +
           " lit.image_tower=" + at("image") + " --out " + at(run) + " " + more;
  }

  /// A PNG of stored pixels, so that no encoder is needed.
  static void write_png(const fs::path& path, int colour, int seed);

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> LitCommands::folder_;

uint32_t crc_of(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320 & (0U - (crc & 1)));
  }
  return ~crc;
}

std::string word(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string chunk(const std::string& kind, const std::string& data) {
  return word(static_cast<uint32_t>(data.size())) + kind + data + word(crc_of(kind + data));
}

void LitCommands::write_png(const fs::path& path, int colour, int seed) {
  constexpr int kSide = 16;
  std::string rows;
  for (int y = 0; y < kSide; ++y) {
    rows += '\0';  // no filter
    for (int x = 0; x < kSide; ++x)
      for (int c = 0; c < 3; ++c) {
        const bool is_lit = colour == 3 || c == colour;
        rows += static_cast<char>((is_lit ? 200 : 20) + (x * 7 + y * 13 + seed * 5 + c) % 40);
      }
  }
  uint32_t a = 1, b = 0;
  for (const char c : rows) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = static_cast<uint16_t>(rows.size());
  const std::string length = {static_cast<char>(size), static_cast<char>(size >> 8),
                              static_cast<char>(~size), static_cast<char>(~size >> 8)};
  const std::string stored = std::string("\x78\x01\x01", 3) + length + rows + word(b << 16 | a);
  test::write_file(
      path, std::string("\x89PNG\r\n\x1a\n") +
                chunk("IHDR", word(kSide) + word(kSide) + std::string("\x08\x02\x00\x00\x00", 5)) +
                chunk("IDAT", stored) + chunk("IEND", ""));
}

TEST_F(LitCommands, ZeroshotNamesWhatTheImageTowerNeverSawLabelsOf) {
  const json result =
      json::parse(vit("zeroshot " + at("run") + " --data " + at("m.csv") + " --json").out);
  EXPECT_GT(result["accuracy"], 0.7);  // chance is 0.25
  EXPECT_EQ(result["chosen"]["recall_at"]["5"], 1);
  test::write_file(at("names"), "red\ngreen\nblue\nwhite\nblack\n");
  test::write_file(at("templates"), "a {} square\nsomething {}\n");
  const json with =
      json::parse(vit("zeroshot " + at("run") + " --data " + at("m.csv") + " --classes " +
                      at("names") + " --templates " + at("templates") + " --json")
                      .out);
  EXPECT_EQ(with["num_classes"], 5);
  EXPECT_EQ(with["chosen"]["templates"], 2);
  EXPECT_GT(with["accuracy"], 0.7);
}

TEST_F(LitCommands, RetrieveMeasuresBothWaysAndSearches) {
  const json recall =
      json::parse(vit("retrieve " + at("run") + " --data " + at("m.csv") + " --json").out);
  EXPECT_EQ(recall["num_captions"], 48);
  EXPECT_GT(recall["recall_at"]["text_to_image"]["10"], 0.3);
  const json found = json::parse(vit("retrieve " + at("run") + " --data " + at("m.csv") +
                                     " --query 'a green square' --top 3 --json")
                                     .out);
  EXPECT_EQ(found["found"].size(), 3U);
}

TEST_F(LitCommands, CheckpointsHoldBothTowersAndGoOnBitForBit) {
  const std::string folder = at("run/ckpt/latest/");
  EXPECT_EQ(test::read_file(folder + "model.safetensors"),
            test::read_file(at("image/model.safetensors")));
  EXPECT_TRUE(fs::exists(folder + "tokenizer.model"));
  EXPECT_TRUE(SafetensorsFile(folder + "text.safetensors").contains("logit_scale"));
  ASSERT_EQ(vit(line("total_steps=75", "cut")).code, 0);
  ASSERT_EQ(vit(line("", "cut")).code, 0);
  EXPECT_EQ(test::read_file(folder + "text.safetensors"),
            test::read_file(at("cut/ckpt/latest/text.safetensors")));
  EXPECT_EQ(vit("knn " + at("run") + " --train " + at("m.csv") + " --k 5").code, 0);
}

TEST_F(LitCommands, LiveImagesTrainTheSameTaskThroughTransforms) {
  const Ended live =
      vit(line("lit.images=live total_steps=4 'data.pp_train=decode|rgb|flip_lr|"
               "value_range(-1,1)'",
               "live"));
  EXPECT_EQ(live.code, 0) << live.err;
}

TEST_F(LitCommands, RefuseWhatWouldBeWrongWithoutASign) {
  fs::copy(at("run/ckpt/latest/"), at("other"), fs::copy_options::recursive);
  test::write_file(at("other/tokenizer.model"), "another");
  EXPECT_NE(vit("zeroshot " + at("other") + " --data " + at("m.csv"))
                .last_line()
                .find("is not the tokenizer that the text tower was trained with"),
            std::string::npos);
  test::write_file(at("twice"), "red\nred\n");
  EXPECT_NE(vit("zeroshot " + at("run") + " --data " + at("m.csv") + " --classes " + at("twice"))
                .last_line()
                .find("'red' is there twice"),
            std::string::npos);
  test::write_file(at("few"), "red\ngreen\nblu\nwhite\n");
  EXPECT_NE(vit("zeroshot " + at("run") + " --data " + at("m.csv") + " --classes " + at("few"))
                .last_line()
                .find("'blue' of the data is not among the candidates (did you mean 'blu'?)"),
            std::string::npos);
  EXPECT_EQ(vit("zeroshot " + at("image") + " --data " + at("m.csv")).code, 4);
  test::write_file(at("labels.csv"), "filepath,label\np0.png,x\n");
  EXPECT_NE(vit("lit " + at("lit.toml") + " data.val= data.root=" + at("labels.csv") +
                " lit.image_tower=" + at("image") + " --out " + at("bad"))
                .last_line()
                .find("has no captions"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
