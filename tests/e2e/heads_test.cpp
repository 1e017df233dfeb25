#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/container/safetensors_file.h"
#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"

namespace vit22b {
namespace {

using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// A fresh small model and images that it can tell apart.
class HeadCommands : public testing::Test {
 protected:
  HeadCommands() {
    test::write_idx(folder_ / "data", "train", 200);
    test::write_idx(folder_ / "data", "test", 60);
    EXPECT_EQ(vit("model init test8 img_size=16 in_chans=1 num_classes=0 --out " + at("m")).code,
              0);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  /// A command on the model's features.
  Ended run(const std::string& command, const std::string& more = "") const {
    return vit(command + " " + at("m") + " --train " + at("data") + " " + more);
  }

  TempFolder folder_;
};

TEST_F(HeadCommands, GiveAccuracyIntervalsAndClasses) {
  const json knn = json::parse(run("knn", "--k 1,20 --json").out);
  // Chance is 0.25, and the weights are random.
  EXPECT_GT(knn["accuracy"]["20"], 0.6);
  EXPECT_LE(knn["confidence_interval"]["20"][0], knn["accuracy"]["20"]);
  EXPECT_EQ(knn["per_class"]["20"].size(), 4U);
  const json few = json::parse(run("fewshot", "--shots 1,10 --json").out);
  EXPECT_GT(few["accuracy"]["10"], 0.6);
  for (const char* method : {"lbfgs --c 1", "lbfgs --path 3", "grid --epochs 30 --head-batch 32"}) {
    const json probe = json::parse(run("probe", std::string("--json --method ") + method).out);
    EXPECT_GT(probe["accuracy"], 0.6) << method;
    EXPECT_EQ(probe["num_test"], 60) << method;
    EXPECT_FALSE(probe["chosen"].is_null()) << method;
  }
}

TEST_F(HeadCommands, TakeFilesOfFeaturesAndGiveTheSameResult) {
  for (const char* split : {"train", "test"})
    ASSERT_EQ(vit("features " + at("m") + " --data " + at("data") + " --split " + split +
                  " --only pooled --out " + at(split) + ".safetensors")
                  .code,
              0);
  const std::string files =
      "--train " + at("train.safetensors") + " --test " + at("test.safetensors");
  EXPECT_EQ(vit("knn " + files).out, run("knn").out);
  EXPECT_EQ(vit("knn " + at("m") + " " + files).last_line(),
            "error: '" + at("m") + "': files of features need no checkpoint");
}

TEST_F(HeadCommands, CompareWithAnEarlierRunOfTheSameSamples) {
  ASSERT_EQ(run("fewshot", "--shots 2 --predictions " + at("p.safetensors")).code, 0);
  const json same =
      json::parse(run("fewshot", "--shots 2 --json --against " + at("p.safetensors")).out);
  EXPECT_EQ(same["difference"]["2"]["mean"], 0);
  const Ended other = run("fewshot", "--shots 2 --test-part 20% --against " + at("p.safetensors"));
  EXPECT_EQ(other.code, 3);
  EXPECT_NE(other.last_line().find("holds predictions of other test samples"), std::string::npos);
}

TEST_F(HeadCommands, SgdTrainsAHeadOnAugmentedImagesAndTestsIt) {
  const std::string sgd = "--method sgd --epochs 12 --rate 0.5 --json --out " + at("sgd");
  const json probe = json::parse(run("probe", sgd).out);
  // Chance is 0.25; the classes lie left and right, which flips make alike: at most 0.5 is learnt.
  EXPECT_GT(probe["accuracy"], 0.35);
  EXPECT_EQ(probe["num_train"], 200);
  EXPECT_EQ(probe["num_test"], 60);
  // Everything below the head is as it was.
  const SafetensorsFile before(at("m/model.safetensors")),
      after(at("sgd/ckpt/latest/model.safetensors"));
  for (const auto& [name, entry] : before.entries())
    EXPECT_TRUE(after.load(name).equal(before.load(name))) << name;
  EXPECT_TRUE(after.contains("head.weight"));
  EXPECT_EQ(run("probe", "--method sgd").last_line(),
            "error: --method sgd trains: give its run folder, --out RUN");
}

TEST_F(HeadCommands, ComparePairsRunsOfTheSameSamples) {
  for (const char* seed : {"1", "2"})
    for (const char* shots : {"1", "10"})
      ASSERT_EQ(run("probe", concat("--c 1 --max-iterations ", shots, " --seed ", seed,
                                    " --predictions ", at(concat(shots, "-", seed))))
                    .code,
                0);
  const std::string pairs =
      at("10-1") + " " + at("10-2") + " --against " + at("1-1") + " " + at("1-2");
  const json result = json::parse(vit("compare " + pairs + " --json").out);
  ASSERT_EQ(result["runs"].size(), 2U);
  double mean = 0;
  for (const json& pair : result["runs"])
    mean += (pair["accuracy"].get<double>() - pair["against"].get<double>()) / 2;
  EXPECT_NEAR(result["difference"].get<double>(), mean, 1e-12);
  EXPECT_LE(result["confidence_interval"][0], result["difference"]);
  EXPECT_EQ(vit("compare " + at("10-1") + " --against " + at("1-1") + " " + at("1-2")).last_line(),
            "error: 1 runs against 2; give pairs, in order");
}

TEST_F(HeadCommands, RefuseWhatDoesNotGoTogether) {
  EXPECT_EQ(vit("knn --train " + at("data")).code, 2);
  EXPECT_EQ(run("knn", "--k 500").last_line(), "error: --k 500: there are 200 training samples");
  EXPECT_EQ(run("knn", "--feature block.9").code, 2);
  EXPECT_EQ(run("knn", "--feature logits").last_line(),
            "error: feature 'logits': " + at("m") + " has no classifier");
}

TEST_F(HeadCommands, DefaultNeighboursThatAreTooManyAreLeftOut) {
  test::write_idx(folder_ / "small", "train", 12);
  test::write_idx(folder_ / "small", "test", 4);
  const Ended ended = vit("knn " + at("m") + " --train " + at("small") + " --json");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(json::parse(ended.out)["accuracy"].size(), 1U);
  EXPECT_NE(ended.err.find("there are 12 training samples: larger k are left out"),
            std::string::npos);
}

TEST_F(HeadCommands, AFullDiskEndsWith2AndKeepsNoHalfShard) {
  const Ended full = run("knn", "--cache /dev/full/x");
  EXPECT_EQ(full.code, 2);
  EXPECT_NE(full.last_line().find("/dev/full/x"), std::string::npos);
}

}  // namespace
}  // namespace vit22b
