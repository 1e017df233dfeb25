#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "core/text.h"
#include "support/files.h"
#include "support/pictures.h"
#include "support/program.h"

namespace vit22b {
namespace {

using test::Ended;
using test::TempFolder;
using test::vit;

/// Pictures of two classes, for training and test, and a small classifier for 16 pixels.
class PixelFlags : public testing::Test {
 protected:
  PixelFlags() {
    for (int i = 0; i < 16; ++i)
      test::write_png(folder_ / concat("data/", i < 8 ? "train" : "test", "/",
                                       i % 2 == 0 ? "a" : "b", "/p", i, ".png"),
                      i % 2, i);
    EXPECT_EQ(vit("model init test8 img_size=16 num_classes=2 --out " + at("m")).code, 0);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  /// Features of the test pictures under some flags; all with tokens.
  std::map<std::string, at::Tensor> features(const std::string& flags) const {
    const Ended ended = vit("features " + at("m") + " --data folder:" + at("data") + " --out " +
                            at("f.safetensors") + " " + flags);
    EXPECT_EQ(ended.code, 0) << ended.err;
    const SafetensorsFile file(at("f.safetensors"));
    return {{"pooled", file.load("pooled")}, {"tokens", file.load("tokens")}};
  }

  TempFolder folder_;
};

TEST_F(PixelFlags, SayWhatTheWholeTransformSays) {
  const at::Tensor own = features("").at("pooled");
  const std::string pairs[][2] = {
      {"--img-size 32",
       "--pp 'decode|rgb|resize_small(34,bicubic)|central_crop(32)|value_range(-1,1)'"},
      {"--crop-pct 0.5",
       "--pp 'decode|rgb|resize_small(32,bicubic)|central_crop(16)|value_range(-1,1)'"},
      {"--interpolation bilinear",
       "--pp 'decode|rgb|resize_small(17)|central_crop(16)|value_range(-1,1)'"}};
  for (const auto& [flags, whole] : pairs) {
    const at::Tensor changed = features(flags).at("pooled");
    EXPECT_TRUE(changed.equal(features(whole).at("pooled"))) << flags;
    EXPECT_FALSE(changed.equal(own)) << flags;
  }
}

TEST_F(PixelFlags, AnotherSizeHasItsOwnTokensAndPictures) {
  EXPECT_EQ(features("--img-size 32x16").at("tokens").size(1), 8);
  const std::string explain =
      "explain " + at("m") + " " + at("data/test/a") + " --img-size 32 --out ";
  EXPECT_EQ(vit(explain + at("a")).code, 0);
  EXPECT_EQ(vit(explain + at("p") + " --method pca").code, 0);
}

TEST_F(PixelFlags, EveryCommandThatOpensPicturesTakesThem) {
  const std::string data =
      " --train " + at("data") + " --cache " + at("c") + " --img-size 32 --crop-pct 1";
  for (const std::string& line :
       {"predict " + at("m") + " " + at("data/test/a") + " --img-size 32",
        "eval " + at("m") + " --data " + at("data") + " --split test --img-size 32",
        "knn " + at("m") + data + " --k 1", "fewshot " + at("m") + data + " --shots 1",
        "probe " + at("m") + data + " --c 1",
        "knn pixels --train " + at("data") + " --cache " + at("c") +
            " --k 1 --pp 'decode|rgb|value_range(0,1)'"}) {
    const Ended ended = vit(line);
    EXPECT_EQ(ended.code, 0) << line << ended.err;
  }
}

TEST_F(PixelFlags, AnotherTransformHasItsOwnCachedFeatures) {
  const std::string knn =
      "knn " + at("m") + " --train " + at("data") + " --cache " + at("c") + " --k 1";
  ASSERT_EQ(vit(knn).code, 0);
  ASSERT_EQ(vit(knn + " --crop-pct 0.5").code, 0);
  ASSERT_EQ(vit(knn + " --crop-pct 0.5").code, 0);
  const auto folders = std::filesystem::directory_iterator(at("c"));
  EXPECT_EQ(std::distance(begin(folders), end(folders)), 4);
}

TEST_F(PixelFlags, ARunsOwnResultIsOfItsOwnPixels) {
  test::write_file(
      at("c.toml"),
      "total_steps = 1\nmodel.name = \"test8\"\nmodel.img_size = 16\ndata.batch_size = "
      "4\ndata.val = \"\"\n");
  const std::string run = at("run");
  ASSERT_EQ(vit("train " + at("c.toml") + " data.root=" + at("data") + " --out " + run).code, 0);
  ASSERT_EQ(vit("eval " + run + " --split test").code, 0);
  const std::string own = test::read_file(run + "/results/eval-test.json");
  const Ended other = vit("eval " + run + " --split test --crop-pct 0.3 --json");
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_NE(other.out, own);
  EXPECT_EQ(test::read_file(run + "/results/eval-test.json"), own);
}

TEST_F(PixelFlags, EvaluationsSayWhatTheyLeftOut) {
  test::write_file(at("data/test/a/q.png"), "no picture");
  const Ended text = vit("eval " + at("m") + " --data " + at("data") + " --max-bad-fraction 1");
  EXPECT_NE(text.out.find("(8 images, 1 left out)"), std::string::npos) << text.out;
}

TEST_F(PixelFlags, RefuseWhatTheyCannotDo) {
  const auto refusal = [&](const std::string& flags) {
    const Ended ended = vit("predict " + at("m") + " " + at("data/test/a") + " " + flags);
    EXPECT_EQ(ended.code, 2) << flags;
    return ended.last_line();
  };
  EXPECT_EQ(refusal("--img-size 20"),
            "error: --img-size 20x20: want multiples of the model's patch size, 8");
  EXPECT_EQ(refusal("--img-size big"), "error: --img-size big: want N, or HEIGHTxWIDTH, in pixels");
  EXPECT_EQ(refusal("--pp 'decode|value_range(-1,1)' --crop-pct 1"),
            "error: --pp is the whole transform: write the crop and the interpolation in it, and "
            "leave --crop-pct and --interpolation away");
  EXPECT_EQ(refusal("--pp 'decode|central_crop(16)|value_range(-1,1)' --img-size 24"),
            "error: --pp makes pictures of 16x16, --img-size says 24x24");
}

TEST_F(PixelFlags, OptionsThatMeanNothingAreRefused) {
  ASSERT_EQ(vit("features " + at("m") + " --data " + at("data") + " --only pooled --out " +
                at("f.safetensors"))
                .code,
            0);
  const std::string files = "--train " + at("f.safetensors") + " --test " + at("f.safetensors"),
                    picture = at("data/test/a/p8.png");
  const std::pair<std::string, std::string> lines[] = {
      {"knn " + files + " --crop-pct 1", "--crop-pct: files of features are taken as they are"},
      {"knn " + files + " --feature mean", "--feature: files of features are taken as they are"},
      {"knn pixels --train " + at("data") + " --img-size 8",
       "\"pixels\" have no transform of a checkpoint that --img-size, --crop-pct or "
       "--interpolation could change; give the whole with --pp"},
      {"probe " + files + " --rate 1", "--rate: goes with --method sgd"},
      {"features " + at("m") + " " + picture + " --split val --out " + at("x"),
       "--split: goes with --data"},
      {"features " + at("m") + " " + picture + " --shard-images 2 --out " + at("x.safetensors"),
       "--shard-images: goes with a folder, --out DIR/"},
      {"features " + at("m") + " --input " + at("f.safetensors") + " --img-size 8 --out " + at("x"),
       "--img-size: --input holds tensors, which are taken as they are"}};
  for (const auto& [line, error] : lines) {
    const Ended ended = vit(line);
    EXPECT_EQ(ended.code, 2) << line;
    EXPECT_EQ(ended.last_line(), "error: " + error) << line;
  }
}

TEST_F(PixelFlags, LabelsNameTheClassesOfResults) {
  test::write_file(at("l.txt"), "ant\nbee\n");
  const std::string labels = " --json --labels " + at("l.txt");
  const auto knn = nlohmann::json::parse(
      vit("knn " + at("m") + " --train " + at("data") + " --k 1" + labels).out);
  EXPECT_EQ(knn["per_class"]["1"][1]["label"], "bee");
  ASSERT_EQ(vit("features " + at("m") + " --data " + at("data") + " --labels " + at("l.txt") +
                " --out " + at("f.safetensors"))
                .code,
            0);
  EXPECT_EQ(SafetensorsFile(at("f.safetensors")).metadata().at("logit_names"), "[\"ant\",\"bee\"]");
}

}  // namespace
}  // namespace vit22b
