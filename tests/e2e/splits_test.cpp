#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/pictures.h"
#include "support/program.h"

namespace vit22b {
namespace {

using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

constexpr const char* kColours[] = {"red", "green", "blue", "white"};

/// Pictures of colours, a class each, that a small model learns at once.
class Splits : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  /// FOLDER/COLOUR/N.png, `count` of each colour.
  void make_pictures(const std::string& folder, const std::vector<int>& colours, int count,
                     int first_seed = 0) const {
    for (const int colour : colours)
      for (int i = 0; i < count; ++i)
        test::write_png(folder_ / concat(folder, "/", kColours[colour], "/", i, ".png"), colour,
                        first_seed + i);
  }

  /// Trains on folder:DATA.
  Ended train(const std::string& data, const std::string& run, const std::string& more) const {
    test::write_file(folder_ / "t.toml",
                     "total_steps = 40\neval_steps = 40\nckpt_steps = 40\nloss = \"softmax\"\n"
                     "threads = 1\n[model]\nname = \"test8\"\nimg_size = 16\n[data]\n"
                     "source = \"folder\"\nbatch_size = 16\n"
                     "pp_train = \"decode|rgb|value_range(-1,1)\"\n"
                     "pp_eval = \"decode|rgb|value_range(-1,1)\"\n[optim]\nname = \"adamw\"\n"
                     "lr = 3e-3\n[schedule]\nname = \"constant\"\n");
    return vit("train " + at("t.toml") + " --out " + at(run) + " data.root=" + at(data) + " " +
               more);
  }

  json eval(const std::string& run, const std::string& more) const {
    const Ended ended = vit("eval " + at(run) + " --json " + more);
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ended.code == 0 ? json::parse(ended.out) : json();
  }

  TempFolder folder_;
};

TEST_F(Splits, HeadsMakeNoTestOfTrainingSamplesUnlessAskedTo) {
  make_pictures("flat", {0, 1, 2, 3}, 10);
  const std::string knn = "knn pixels --cache " + at("cache") + " --train folder:" + at("flat");
  const std::string untold =
      "error: folder:" + at("flat") +
      " has no split 'test': all of it is 'train'; give another source, or make a test of it with "
      "--test-part 20% or --folds 5, in training with data.val=10%";
  EXPECT_EQ(vit(knn).code, 3);
  EXPECT_EQ(vit(knn).last_line(), untold);
  EXPECT_EQ(vit(knn + " --test " + at("flat")).last_line(),
            "error: " + at("flat") + untold.substr(untold.find(" has no split")));
  EXPECT_EQ(vit(knn + " --test-split train").last_line(),
            "error: folder:" + at("flat") +
                ", split 'train' is what is trained on, the same samples; give another source or "
                "split, or make a test of it with --test-part 20% or --folds 5");
  const json part = json::parse(vit(knn + " --k 1,3 --test-part 20% --seed 3 --json").out);
  EXPECT_EQ(part["num_train"], 32);
  EXPECT_EQ(part["num_test"], 8);
  EXPECT_EQ(part["split"], "20% of train, by class, seed 3");
  for (const json& row : part["per_class"]["1"]) EXPECT_EQ(row["num_examples"], 2);
  // A test of its own in another folder needs no split folders.
  make_pictures("other", {0, 1}, 3, 50);
  const json other = json::parse(vit(knn + " --k 1 --json --test " + at("other")).out);
  EXPECT_EQ(other["split"], "train");
  EXPECT_EQ(other["num_test"], 6);
  EXPECT_EQ(other["accuracy"]["1"], 1);  // green is the first class there, the second here
}

TEST_F(Splits, FoldsTestEverySampleOnceAndTellMeanAndSpread) {
  make_pictures("flat", {0, 1, 2}, 10);
  const std::string source = " pixels --cache " + at("cache") + " --train folder:" + at("flat");
  for (const std::string method : {"knn --k 1", "fewshot --shots 2 --draws 2", "probe --c 1",
                                   "probe --method grid --epochs 2"}) {
    const Ended ended = vit(method + source + " --folds 5 --json -q");
    ASSERT_EQ(ended.code, 0) << ended.err;
    const json result = json::parse(ended.out);
    EXPECT_EQ(result["num_test"], 30);
    EXPECT_EQ(result["num_train"], 24);
    EXPECT_EQ(result["split"], "5 folds of train, by class, seed 0");
    ASSERT_EQ(result["folds"].size(), 5U);
    const auto of = [&](const json& value) {
      return (value.is_object() ? *value.begin() : value).get<double>();
    };
    double mean = 0, squares = 0;
    for (const json& fold : result["folds"]) mean += of(fold["accuracy"]) / 5;
    for (const json& fold : result["folds"])
      squares += (of(fold["accuracy"]) - mean) * (of(fold["accuracy"]) - mean) / 4;
    EXPECT_NEAR(of(result["accuracy"]), mean, 1e-12) << method;
    EXPECT_NEAR(of(result["spread"]), std::sqrt(squares), 1e-12) << method;
    for (const json& fold : result["folds"]) EXPECT_EQ(fold["num_test"], 6);
  }
  const Ended text = vit("knn --k 1" + source + " --folds 5 -q");
  EXPECT_NE(text.out.find("spread"), std::string::npos);
  EXPECT_NE(text.out.find("  fold 5: "), std::string::npos);
}

TEST_F(Splits, OverlapIsFoundByContent) {
  make_pictures("data/train", {0, 1}, 4);
  make_pictures("data/test", {0, 1}, 2, 4);  // seeds repeat after 8
  const std::string knn =
      "knn pixels --k 1 --check-overlap --cache " + at("cache") + " --train " + at("data");
  EXPECT_EQ(vit(knn).code, 0);
  test::write_png(folder_ / "data/test/red/copy.png", 0, 2);
  const Ended found = vit(knn);
  EXPECT_EQ(found.code, 3);
  EXPECT_NE(found.last_line().find("1 of 5 test pictures are training pictures too"),
            std::string::npos);
}

TEST_F(Splits, ARunOffersThePartThatItHeldOut) {
  make_pictures("flat", {0, 1, 2, 3}, 10);
  ASSERT_EQ(train("flat", "run", "data.val=20%").code, 0);
  const json held = eval("run", "");
  EXPECT_EQ(held["split"], "val");
  EXPECT_EQ(held["num_examples"], 8);
  EXPECT_EQ(eval("run", "--split train")["num_examples"], 32);
  // Pictures of seeds 0 and 8 are equal, and some such pairs are on both sides of the draw.
  EXPECT_NE(vit("eval " + at("run") + " --check-overlap").last_line().find("byte for byte"),
            std::string::npos);
  const Ended test = vit("eval " + at("run") + " --split test");
  EXPECT_EQ(test.code, 3);
  EXPECT_EQ(test.last_line(),
            "error: folder:" + at("flat") + " has no split 'test'; it has train, val");
  EXPECT_NE(vit("eval " + at("run")).err.find("the 20% of 'train' held out of training"),
            std::string::npos);
}

TEST_F(Splits, WithoutAPartHeldOutARunHasNoTest) {
  make_pictures("flat", {0, 1}, 4);
  ASSERT_EQ(train("flat", "run", "data.val= total_steps=1").code, 0);
  EXPECT_NE(vit("eval " + at("run")).last_line().find("has no split 'test': all of it is 'train'"),
            std::string::npos);
  // The same place by another name is the same.
  EXPECT_EQ(vit("eval " + at("run") + " --data " + at("flat")).code, 3);
  EXPECT_NE(vit("eval " + at("run") + " --split train").err.find("was trained on these samples"),
            std::string::npos);
}

TEST_F(Splits, EvaluationMatchesClassesByName) {
  make_pictures("data/train", {0, 1, 2}, 12);
  make_pictures("data/val", {0, 2}, 4, 50);
  make_pictures("data/test", {1}, 4, 60);
  ASSERT_EQ(train("data", "run", "data.val=val").code, 0);
  const std::string rows = test::read_file(folder_ / "run/metrics.jsonl");
  EXPECT_NE(rows.find("\"val/accuracy\":1.0"), std::string::npos) << rows;
  const json test = eval("run", "");
  EXPECT_EQ(test["split"], "test");
  EXPECT_EQ(test["labels_by"], "name");
  EXPECT_EQ(test["top1"], 1);
  EXPECT_EQ(test["label_names"], (json{"blue", "green", "red"}));
  EXPECT_EQ(test["confusion"], (json{{0, 0, 0}, {0, 4, 0}, {0, 0, 0}}));
  const json restricted = eval("run", "--split val --restrict");
  EXPECT_EQ(restricted["restricted"], true);
  EXPECT_EQ(restricted["label_names"], (json{"blue", "red"}));
  // A class that the model does not know.
  make_pictures("more", {1, 3}, 2, 70);
  const Ended unknown = vit("eval " + at("run") + " --data " + at("more"));
  EXPECT_EQ(unknown.code, 3);
  EXPECT_EQ(unknown.last_line(), "error: " + at("more") +
                                     ": the class 'white' is not among the 3 classes of the model; "
                                     "--class-map FILE says which class is which");
  // As numbers, a table's labels are the model's.
  test::write_file(folder_ / "m.csv",
                   "filepath,label\ndata/test/green/0.png,1\ndata/val/red/0.png,2\n");
  EXPECT_EQ(eval("run", "--data " + at("m.csv"))["top1"], 1);
  test::write_file(folder_ / "map.txt", "rouge 2\nvert 1\n");
  test::write_file(folder_ / "n.csv",
                   "filepath,label\ndata/test/green/0.png,vert\ndata/val/red/0.png,rouge\n");
  EXPECT_EQ(eval("run", "--data " + at("n.csv") + " --class-map " + at("map.txt"))["top1"], 1);
}

TEST_F(Splits, ValidationWithAnUnknownClassIsRefusedBeforeTraining) {
  make_pictures("data/train", {0, 1}, 4);
  make_pictures("data/val", {0, 2}, 4);
  const Ended ended = train("data", "run", "data.val=val");
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.last_line(),
            "error: " + at("data") +
                ", split 'val': the class 'blue' is not among the 2 classes of "
                "the split 'train'; data.class_map=FILE says which class is which");
  test::write_file(folder_ / "map.txt", "blue 0\nred 1\n");
  const Ended mapped = train("data", "run", "data.val=val data.class_map=" + at("map.txt"));
  EXPECT_EQ(mapped.code, 0) << mapped.err;
  EXPECT_EQ(train("data", "part", "data.val=20% data.class_map=" + at("map.txt")).code, 2);
}

TEST_F(Splits, HeadsTakeTheTestsClassesByAClassMap) {
  make_pictures("a", {0, 1}, 8);
  make_pictures("b/test", {0, 1}, 4, 90);
  std::filesystem::rename(at("b/test/red"), at("b/test/rouge"));
  std::filesystem::rename(at("b/test/green"), at("b/test/vert"));
  const std::string knn = "knn pixels --json --k 1 --cache " + at("cache") +
                          " --train folder:" + at("a") + " --test folder:" + at("b");
  EXPECT_EQ(vit(knn).code, 3);
  test::write_file(folder_ / "map.txt", "rouge 1\nvert 0\n");
  const Ended mapped = vit(knn + " --class-map " + at("map.txt"));
  ASSERT_EQ(mapped.code, 0) << mapped.err;
  EXPECT_EQ(json::parse(mapped.out)["accuracy"]["1"], 1);
}

TEST_F(Splits, PixelsThatAModelDoesNotKnowAreRefused) {
  make_pictures("data/train", {0, 1}, 4);
  EXPECT_EQ(
      train("data", "run", "data.val='' 'data.pp_train=decode|rgb'").last_line(),
      "error: images are bytes from 0 to 255 after their transform, which no model is trained "
      "on; end it with value_range(-1,1) or normalize(...), as the model was trained");
  EXPECT_EQ(
      train("data", "run", "data.val='' 'data.pp_train=decode|gray|value_range(-1,1)'").last_line(),
      "error: images have 1 channel after their transform, the model sees 3; write rgb in it");
}

TEST_F(Splits, NamesThatNoCheckpointCanHoldAreRefusedBeforeTraining) {
  make_pictures("data/train", {0}, 2);
  std::filesystem::rename(folder_ / "data/train/red", folder_ / "data/train/caf\xe9");
  make_pictures("data/train", {1}, 2);
  const Ended ended = train("data", "run", "data.val=");
  EXPECT_EQ(ended.code, 3);
  EXPECT_NE(ended.last_line().find("the class name 'caf\\xe9' is not UTF-8"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(Splits, AnotherClassFolderMakesNoStaleCache) {
  make_pictures("data/train", {0, 1, 2}, 4);
  make_pictures("data/test", {1, 2}, 2, 50);
  const std::string knn = "knn pixels --k 1 --json --cache " + at("c") + " --train " + at("data");
  EXPECT_EQ(json::parse(vit(knn).out)["accuracy"]["1"], 1);
  std::filesystem::create_directory(folder_ / "data/test/aaa");
  EXPECT_EQ(json::parse(vit(knn).out)["accuracy"]["1"], 1);
}

TEST_F(Splits, CaptionsAloneAreNoLabels) {
  make_pictures("data/train", {0, 1}, 8);
  ASSERT_EQ(train("data", "run", "data.val= total_steps=1").code, 0);
  test::write_file(folder_ / "m.csv", "filepath,caption\ndata/train/red/0.png,a red square\n");
  const Ended ended = vit("eval " + at("run") + " --data " + at("m.csv"));
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.last_line(), "error: " + at("m.csv") +
                                   " has no labels to be right about; want class folders, or a "
                                   "manifest with the column `label`");
}

}  // namespace
}  // namespace vit22b
