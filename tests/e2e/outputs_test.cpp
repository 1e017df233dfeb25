#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <thread>

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

/// A fresh checkpoint `m`, its copy `nan` with a weight that is no number, a picture, and a run of
/// two steps on pictures of two colours.
class Outputs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    for (const std::string split : {"train", "test"})
      for (int i = 0; i < 8; ++i) {
        test::write_png(*folder_ / concat("d/", split, "/red/", i, ".png"), 0, i);
        test::write_png(*folder_ / concat("d/", split, "/blue/", i, ".png"), 2, i);
      }
    test::write_png(*folder_ / "a.png", 0, 1);
    ASSERT_EQ(vit("model init test8 img_size=16 num_classes=2 --out " + at("m")).code, 0);
    damage("nan");
    test::write_file(*folder_ / "c.toml", R"toml(total_steps = 2
[model]
name = "test8"
img_size = 16
[data]
source = "folder"
batch_size = 4
val = ""
pp_train = "decode|rgb|value_range(-1,1)"
pp_eval = "decode|rgb|value_range(-1,1)"
)toml");
    const Ended trained =
        vit("train " + at("c.toml") + " data.root=" + at("d") + " --out " + at("run"));
    ASSERT_EQ(trained.code, 0) << trained.err;
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string at(const std::string& name) { return (*folder_ / name).string(); }

  /// Writes the checkpoint `m` again under another name, without a manifest, with a NaN in its
  /// last weight.
  static void damage(const std::string& name) {
    fs::create_directory(at(name));
    fs::copy_file(at("m/config.json"), at(name + "/config.json"));
    std::string bytes = test::read_file(at("m/model.safetensors"));
    bytes.replace(bytes.size() - 4, 4, std::string("\0\0\xc0\x7f", 4));
    test::write_file(at(name + "/model.safetensors"), bytes);
  }
  static json stored(const std::string& name) {
    return json::parse(test::read_file(at("run/results/" + name)));
  }

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> Outputs::folder_;

TEST_F(Outputs, GoToAPipeOrThroughALinkAndReplaceNeither) {
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = test::read_file(at("pipe")); });
  const std::string features = "features " + at("m") + " " + at("a.png") + " --only pooled --out ";
  EXPECT_EQ(vit(features + at("pipe")).code, 0);
  reader.join();
  EXPECT_TRUE(fs::is_fifo(at("pipe")));
  test::write_file(at("real"), "old");
  fs::create_symlink("real", at("link"));
  EXPECT_EQ(vit(features + at("link")).code, 0);
  EXPECT_TRUE(fs::is_symlink(at("link")));
  EXPECT_EQ(test::read_file(at("real")), got);
  EXPECT_EQ(test::shell("bash -c '" + test::program() + " " + features + ">(cat >" +
                        at("substituted") + "; touch " + at("done") + ")'")
                .code,
            0);
  while (!fs::exists(at("done"))) std::this_thread::yield();
  EXPECT_EQ(test::read_file(at("substituted")), got);
  EXPECT_EQ(vit(features + "/dev/stdout -q").out, got);
}

TEST_F(Outputs, OfAModelWithANanAreRefusedNamingImageAndTensor) {
  const std::string text = at("a.png") + ": the model's '";
  const std::string nan = at("nan"), data = " folder:" + at("d");
  for (const auto& [line, tensor] : std::vector<std::pair<std::string, std::string>>{
           {"predict " + nan + " " + at("a.png"), "logits"},
           {"features " + nan + " " + at("a.png") + " --only logits --out " + at("f"), "logits"},
           {"features " + nan + " " + at("a.png") + " --only logits --out " + at("shards/"),
            "logits"}}) {
    const Ended ended = vit(line);
    EXPECT_EQ(ended.code, 5) << line;
    EXPECT_NE(ended.last_line().find(text + tensor + "' is not finite"), std::string::npos)
        << ended.err;
  }
  for (const std::string& line :
       {"eval " + nan + " --data" + data, "knn " + nan + " --feature logits --k 1 --train" + data})
    EXPECT_EQ(vit(line).code, 5) << line;
}

TEST_F(Outputs, OfNoImagesHaveNoRows) {
  FileOps ops;
  write_safetensors(ops, at("none.safetensors"), {{"images", at::zeros({0, 3, 16, 16})}});
  for (const std::string engine : {"fused", "reference"}) {
    const Ended ended = vit("features " + at("m") + " --input " + at("none.safetensors") +
                            " --out " + at("empty") + " --engine " + engine);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const SafetensorsFile file(at("empty"));
    EXPECT_EQ(file.entry("logits").shape, (std::vector<int64_t>{0, 2}));
    EXPECT_EQ(file.entry("pooled").shape[0], 0);
  }
}

TEST_F(Outputs, OfEvalSayWhereTheyComeFromAndKeepTheRunsOwnApart) {
  // By its own command line, without what tests may add to it.
  ASSERT_EQ(test::shell(test::program() + " eval " + at("run") + " --split test").code, 0);
  const json own = stored("eval-test.json");
  const json& from = own.at("provenance");
  EXPECT_EQ(from["step"], 2);
  EXPECT_EQ(from["source"], "folder:" + at("d"));
  EXPECT_EQ(from["split"], "test");
  EXPECT_EQ(from["command"], "vit22b eval " + at("run") + " --split test");
  EXPECT_EQ(from["fingerprint"].get<std::string>().empty(), false);
  // The same pictures in another folder are other data.
  fs::copy(at("d"), at("other"), fs::copy_options::recursive);
  const Ended ended = vit("eval " + at("run") + " --split test --data folder:" + at("other") +
                          " --out " + at("other.json"));
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(stored("eval-test.json"), own);
  EXPECT_EQ(json::parse(test::read_file(at("other.json")))["provenance"]["source"],
            "folder:" + at("other"));
  ASSERT_EQ(vit("report " + at("run")).code, 0);
  EXPECT_NE(
      test::read_file(at("run/report.html")).find("of folder:" + at("d") + ", split test, step 2"),
      std::string::npos);
}

TEST_F(Outputs, ArePrintedBeforeTheyAreStored) {
  fs::copy(at("run"), at("shared"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove_all(at("shared/results"));
  test::write_file(at("shared/results"), "no folder: nothing can be written there");
  const Ended shared = vit("eval " + at("shared") + " --split test --json");
  EXPECT_EQ(shared.code, 0) << shared.err;
  EXPECT_EQ(json::parse(shared.out)["num_examples"], 16);
  EXPECT_NE(shared.last_line().find("is not kept in " + at("shared/results")), std::string::npos)
      << shared.err;
  for (const std::string& line : {"eval " + at("run") + " --split test",
                                  "knn " + at("m") + " --k 1 --train folder:" + at("d")}) {
    const Ended ended = vit(line + " --json --out " + at("nowhere/result.json"));
    EXPECT_EQ(ended.code, 2) << ended.err;
    EXPECT_FALSE(json::parse(ended.out).empty()) << line;
  }
}

TEST_F(Outputs, OfACacheGoToTheUsersWhereTheCheckpointsCannotBeWritten) {
  fs::copy(at("m"), at("locked"), fs::copy_options::recursive);
  fs::remove_all(at("locked/cache"));
  test::write_file(at("locked/cache"), "no folder: nothing can be written there");
  const std::string knn = "knn " + at("locked") + " --k 1 --train folder:" + at("d");
  const Ended ended = vit(knn, "env XDG_CACHE_HOME=" + at("home"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.err.find(" features in " + at("home/vit22b/")), std::string::npos) << ended.err;
  const Ended homeless = vit(knn, "env -u XDG_CACHE_HOME -u HOME");
  EXPECT_EQ(homeless.code, 2);
  EXPECT_EQ(homeless.last_line(),
            "error: features cannot be kept in " + at("locked/cache") +
                ", which cannot be written; give another folder with --cache");
}

TEST_F(Outputs, OfKnnAreComparedByTheirNumberOfNeighbours) {
  const std::string knn = "knn " + at("m") + " --train folder:" + at("d") + " --predictions ";
  ASSERT_EQ(vit(knn + at("two") + " --k 3,1,3").code, 0);
  ASSERT_EQ(vit(knn + at("one") + " --k 1").code, 0);
  EXPECT_EQ(vit("compare " + at("one") + " --against " + at("one")).code, 0);
  EXPECT_EQ(vit("compare " + at("two") + " --against " + at("one") + " --k 1").code, 0);
  EXPECT_EQ(vit("compare " + at("two") + " --against " + at("one")).last_line(),
            "error: " + at("two") + " has predicted.1, predicted.3; choose one with --k");
}

// The labels of both tests agree, the pictures do not.
TEST_F(Outputs, OfOtherPicturesAreNotCompared) {
  fs::copy(at("d"), at("twin"), fs::copy_options::recursive);
  std::string replaced;
  for (const auto& entry : fs::recursive_directory_iterator(at("twin/test")))
    if (entry.is_regular_file()) replaced = entry.path().string();
  test::write_png(replaced, /*colour=*/3, /*seed=*/77);
  const std::string knn = "knn " + at("m") + " --k 1 --train folder:" + at("d");
  ASSERT_EQ(vit(knn + " --predictions " + at("one")).code, 0);
  const std::string of_other = knn + " --test folder:" + at("twin");
  ASSERT_EQ(vit(of_other + " --predictions " + at("two")).code, 0);
  const std::string why = ": the labels agree, but 1 of ";
  for (const std::string& command :
       {"compare " + at("one") + " --against " + at("two"), of_other + " --against " + at("one")}) {
    const Ended ended = vit(command);
    EXPECT_EQ(ended.code, 3) << command;
    EXPECT_NE(ended.last_line().find(why), std::string::npos) << ended.last_line();
  }
  // The same pictures at another place are the same samples.
  fs::remove_all(at("twin"));
  fs::copy(at("d"), at("twin"), fs::copy_options::recursive);
  EXPECT_EQ(vit(of_other + " --against " + at("one")).code, 0);
}

TEST(CommandLine, RefusesEmptyValues) {
  EXPECT_EQ(vit("eval run --out ''").last_line(),
            "error: --out is empty; give a value or leave it away");
  EXPECT_EQ(vit("predict ''").last_line(), "error: an argument is empty; give it or leave it away");
}

TEST(CommandLine, RefusesMoreThreadsThanAMachineCanUse) {
  const Ended ended = vit("env --threads 100000");
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.last_line().find("--threads 100000: want 1 to "), std::string::npos);
}

}  // namespace
}  // namespace vit22b
