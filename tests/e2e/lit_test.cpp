#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/container/safetensors_writer.h"
#include "support/files.h"
#include "support/pictures.h"
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
    test::write_captioned_pictures(folder_->path());
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
templates = ["{}", "a {} square"]
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

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> LitCommands::folder_;

TEST_F(LitCommands, ZeroshotNamesWhatTheImageTowerNeverSawLabelsOf) {
  const json result =
      json::parse(vit("zeroshot " + at("run") + " --data " + at("m.csv") + " --json").out);
  EXPECT_GT(result["accuracy"], 0.7);  // chance is 0.25
  EXPECT_EQ(result["chosen"]["recall_at"]["5"], 1);
  EXPECT_EQ(result["chosen"]["templates"], 2);  // the checkpoint's own
  // As Windows' editor writes them.
  test::write_file(at("names"), "\xEF\xBB\xBFred\r\ngreen\r\nblue\r\nwhite\r\nblack\r\n");
  test::write_file(at("templates"),
                   "\xEF\xBB\xBF"
                   "a {} square\nsomething {}\n{}\n");
  const json with =
      json::parse(vit("zeroshot " + at("run") + " --data " + at("m.csv") + " --classes " +
                      at("names") + " --templates " + at("templates") + " --json")
                      .out);
  EXPECT_EQ(with["num_classes"], 5);
  EXPECT_EQ(with["chosen"]["templates"], 3);
  EXPECT_GT(with["accuracy"], 0.7);
}

// The measures of classifiers are of named classes too, and agree with zeroshot.
TEST_F(LitCommands, EvalIsOfClassesThatAreToldByName) {
  test::write_file(at("names"), "white\nred\ngreen\nblue\nblack\n");
  const std::string words = at("run") + " --data " + at("m.csv") + " --classes " + at("names");
  const json zero = json::parse(vit("zeroshot " + words + " --json").out),
             eval = json::parse(vit("eval " + words + " --json").out),
             calibration = json::parse(vit("eval calibration " + words + " --json").out);
  EXPECT_EQ(eval["top1"], zero["accuracy"]);
  EXPECT_NEAR(calibration["nll"].get<double>(), eval["nll"].get<double>(), 1e-9);
  const json robustness = json::parse(
      vit("eval robustness " + words + " --corruptions contrast --severities 5 --json").out);
  EXPECT_EQ(robustness["clean"]["accuracy"], eval["top1"]);
  EXPECT_NE(vit("eval " + at("run") + " --data " + at("m.csv") + " --templates " + at("names"))
                .last_line()
                .find("go with --classes"),
            std::string::npos);
  EXPECT_NE(vit("eval --logits x --classes " + at("names")).last_line().find("goes with a check"),
            std::string::npos);
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
  const Ended example =
      test::shell("PATH=" + fs::absolute(test::program()).parent_path().string() + ":$PATH " +
                  test::source_path("examples/shell/search.sh").string() + " " + at("run") + " " +
                  at("m.csv") + " 'a green square'");
  EXPECT_EQ(example.code, 0) << example.err;
  EXPECT_EQ(std::count(example.out.begin(), example.out.end(), '\n'), 10) << example.out;
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

// The fresh image tower knows no colours; together they learn the pairs.
TEST_F(LitCommands, AnUnlockedImageTowerTrainsBesideTheTextTower) {
  const Ended lit = vit(line("lit.unlock=all", "unlocked"));
  ASSERT_EQ(lit.code, 0) << lit.err;
  const std::string folder = at("unlocked/ckpt/latest/");
  EXPECT_NE(test::read_file(folder + "model.safetensors"),
            test::read_file(at("image/model.safetensors")));
  const json result =
      json::parse(vit("zeroshot " + at("unlocked") + " --data " + at("m.csv") + " --json").out);
  EXPECT_GT(result["accuracy"], 0.7);  // chance is 0.25
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
                .find("the class 'blue' is not among the 4 classes of the candidates (did you mean "
                      "'blu'?)"),
            std::string::npos);
  EXPECT_EQ(vit("zeroshot " + at("image") + " --data " + at("m.csv")).code, 4);
  test::write_file(at("labels.csv"), "filepath,label\np0.png,x\n");
  EXPECT_NE(vit("lit " + at("lit.toml") + " data.val= data.root=" + at("labels.csv") +
                " lit.image_tower=" + at("image") + " --out " + at("bad"))
                .last_line()
                .find("has no captions"),
            std::string::npos);
}

// Three images and four texts on the plane: image 2 is nearer to text 0 than to its own.
TEST(FilesOfPairs, RetrieveAndZeroshotCountByHand) {
  const TempFolder folder;
  FileOps ops;
  const auto degrees = [](std::initializer_list<double> angles) {
    const at::Tensor a = at::tensor(at::ArrayRef<double>(angles), at::kFloat) * (3.14159265 / 180);
    return at::stack({a.cos(), a.sin()}, 1);
  };
  const auto labels = [](std::initializer_list<int64_t> of) {
    return at::tensor(at::ArrayRef<int64_t>(of), at::kLong);
  };
  const std::string path = (folder / "pairs.safetensors").string();
  write_safetensors(ops, path,
                    {{"features", 5 * degrees({0, 90, 20})},  // lengths do not count
                     {"labels", labels({0, 1, 2})},
                     {"texts", degrees({12, 80, 60, 5})},
                     {"text_labels", labels({0, 1, 2, 0})}});
  const json recall = json::parse(vit("retrieve --data " + path + " --json").out)["recall_at"];
  EXPECT_NEAR(recall["image_to_text"]["1"].get<double>(), 2.0 / 3, 1e-6);
  EXPECT_EQ(recall["image_to_text"]["5"], 1);
  EXPECT_NEAR(recall["text_to_image"]["1"].get<double>(), 0.5, 1e-6);  // 12 to 20; 60 to 90
  const json zero = json::parse(vit("zeroshot --data " + path + " --json").out);
  EXPECT_NEAR(zero["accuracy"].get<double>(), 2.0 / 3, 1e-6);
  EXPECT_EQ(zero["num_classes"], 3);

  EXPECT_EQ(vit("retrieve x --data " + path).last_line(),
            "error: 'x': a file of features needs no checkpoint");
  EXPECT_EQ(vit("retrieve --query red --data " + path).last_line(),
            "error: --query wants a text tower; give its checkpoint and a data source");
  write_safetensors(ops, path,
                    {{"features", at::ones({1, 2})},
                     {"labels", labels({1})},
                     {"texts", at::ones({1, 3})},
                     {"text_labels", labels({1})}});
  const Ended wide = vit("zeroshot --data " + path);
  EXPECT_EQ(wide.code, 3);
  EXPECT_NE(wide.last_line().find("features of images have width 2, of texts 3"),
            std::string::npos);
}

}  // namespace
}  // namespace vit22b
