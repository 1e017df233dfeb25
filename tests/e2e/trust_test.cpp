#include <gtest/gtest.h>

#include <memory>
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

/// A small model of colours, trained a little, and its data.
class Trust : public testing::Test {
 protected:
  static std::string at(const std::string& name) { return (*folder_ / name).string(); }

  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    for (const char* split : {"train", "val", "test"})
      for (int colour = 0; colour < 4; ++colour)
        for (int i = 0; i < 12; ++i)
          test::write_png(*folder_ / concat("data/", split, "/", kColours[colour], "/", i, ".png"),
                          colour, i + 100 * (split[0] - 'a'));
    for (int i = 0; i < 9; ++i) test::write_png(*folder_ / concat("strange/", i, ".png"), 3, 7 * i);
    test::write_file(*folder_ / "t.toml",
                     "total_steps = 12\neval_steps = 12\nckpt_steps = 12\nloss = \"sigmoid\"\n"
                     "threads = 1\n[model]\nname = \"test8\"\nimg_size = 16\n[data]\n"
                     "source = \"folder\"\nbatch_size = 16\n"
                     "pp_train = \"decode|rgb|value_range(-1,1)\"\n"
                     "pp_eval = \"decode|rgb|value_range(-1,1)\"\n[optim]\nname = \"adamw\"\n"
                     "lr = 1e-3\n[schedule]\nname = \"constant\"\n");
    const Ended ended =
        vit("train " + at("t.toml") + " --out " + at("run") + " data.root=" + at("data"));
    ASSERT_EQ(ended.code, 0) << ended.err;
  }

  static void TearDownTestSuite() { folder_.reset(); }

  json said(const std::string& words) const {
    const Ended ended = vit("eval " + words + " --json --quiet");
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ended.code == 0 ? json::parse(ended.out) : json();
  }

  static std::unique_ptr<TempFolder> folder_;  ///< of all tests
};

std::unique_ptr<TempFolder> Trust::folder_;

TEST_F(Trust, OfACheckpointIsWhatItsLogitsSay) {
  const Ended ended = vit("features " + at("run") + " --data " + at("data") +
                          " --split test --only logits,pooled --out " + at("f.safetensors"));
  ASSERT_EQ(ended.code, 0) << ended.err;
  for (const char* measure : {"calibration", "selective"}) {
    const json of_model = said(concat(measure, " ", at("run"))),
               of_file = said(concat(measure, " --logits ", at("f.safetensors")));
    for (const auto& [name, value] : of_file.items()) {
      if (!value.is_number()) continue;
      EXPECT_NEAR(of_model.at(name).get<double>(), value.get<double>(), 1e-5) << name;
    }
    EXPECT_EQ(of_model.at("num_examples"), 48);
    EXPECT_EQ(of_model.at("probabilities"),
              "softmax over the logits of a head that was trained with sigmoid losses");
    EXPECT_EQ(of_model.at("split"), "test");
  }
  // The plain evaluation's numbers are among them.
  const json plain = said(at("run")), calibration = said("calibration " + at("run"));
  EXPECT_NEAR(plain.at("ece").get<double>(), calibration.at("ece_15").get<double>(), 1e-9);
  EXPECT_NEAR(plain.at("nll").get<double>(), calibration.at("nll").get<double>(), 1e-9);
}

TEST_F(Trust, ATemperatureIsFittedToOtherSamples) {
  const json of_split = said("calibration " + at("run") + " --fit val");
  EXPECT_TRUE(of_split.at("temperature").is_number());
  EXPECT_TRUE(of_split.at("ece_15_after").is_number());
  EXPECT_EQ(of_split.at("num_examples"), 48);
  EXPECT_NE(of_split.at("fitted_to").get<std::string>().find("split 'val'"), std::string::npos);
  EXPECT_NE(
      vit("eval calibration " + at("run") + " --fit test").last_line().find("is what is tested"),
      std::string::npos);
  const json of_part = said("calibration " + at("run") + " --fit-part 25%");
  EXPECT_EQ(of_part.at("num_examples"), 36);
  EXPECT_FALSE(said("calibration " + at("run")).contains("temperature"));
}

TEST_F(Trust, StrangeSamplesNeedNoClasses) {
  const json ood =
      said("ood " + at("run") + " --ood-data " + at("strange") + " --known train --k 5");
  for (const char* score :
       {"msp", "entropy", "energy", "max_logit", "mahalanobis", "relative_mahalanobis", "knn"})
    EXPECT_TRUE(ood.at(score).at("auroc").is_number()) << score;
  EXPECT_EQ(ood.at("num_ood_examples"), 9);
  EXPECT_FALSE(said("ood " + at("run") + " --ood-data " + at("strange")).contains("knn"));
}

TEST_F(Trust, CorruptedPicturesCostAccuracyOrAreTold) {
  const std::string words = "robustness " + at("run") + " --corruptions brightness,gaussian_noise";
  const json first = said(words + " --severities 1,5");
  EXPECT_EQ(first.at("by_severity").size(), 4U);
  EXPECT_TRUE(first.at("mce").is_null());
  EXPECT_EQ(first.at("by_corruption").at("brightness").at("accuracy").get<double>(),
            (first.at("by_severity")[0].at("accuracy").get<double>() +
             first.at("by_severity")[1].at("accuracy").get<double>()) /
                2);
  EXPECT_EQ(said(words + " --severities 1,5"), first);
  test::write_file(*folder_ / "first.json", first.dump());
  const json again = said(words + " --severities 1,5 --reference " + at("first.json"));
  // Beside itself its errors are one, where there are any.
  const bool has_errors = first.at("by_corruption").at("brightness").at("accuracy") != 1 &&
                          first.at("by_corruption").at("gaussian_noise").at("accuracy") != 1;
  if (has_errors) {
    EXPECT_NEAR(again.at("mce").get<double>(), 1, 1e-12);
  }
  EXPECT_EQ(again.at("reference"), at("first.json"));
}

// A model of the sixteen categories on images that are called as the project calls them.
TEST_F(Trust, ACheckpointAnswersPeoplesExperiments) {
  const char* const categories[] = {"airplane", "bear",  "bicycle", "bird",  "boat", "bottle",
                                    "car",      "cat",   "chair",   "clock", "dog",  "elephant",
                                    "keyboard", "knife", "oven",    "truck"};
  std::string names;
  for (const char* name : categories) names += concat(name, "\n");
  test::write_file(*folder_ / "names.txt", names);
  for (int i = 0; i < 6; ++i)
    test::write_png(*folder_ / concat("sets/cue-conflict/", categories[i], i + 1, "-",
                                      categories[i + 3], "2.png"),
                    i % 4, i);
  const Ended made =
      vit("model init test8 img_size=16 num_classes=16 --seed 3 --randomize-all --out " + at("m"));
  ASSERT_EQ(made.code, 0) << made.err;
  const std::string words = "human " + at("m") + " --labels " + at("names.txt") + " --stimuli " +
                            at("sets") + " --write-csv " + at("tables");
  const json first = said(words);
  EXPECT_EQ(first.at("of"), "m");
  EXPECT_EQ(first.at("categories_by"), "the model's own names");
  EXPECT_TRUE(first.at("sets").at("cue-conflict").at("kappa").is_null());
  // What it wrote says the same.
  const json again = said("human --csv " + at("tables"));
  EXPECT_EQ(again.at("sets"), first.at("sets"));
  EXPECT_EQ(again.at("observers"), first.at("observers"));
  EXPECT_NE(vit("eval human " + at("run") + " --stimuli " + at("sets"))
                .last_line()
                .find("none is called 'airplane'"),
            std::string::npos);
}

TEST_F(Trust, WhatDoesNotGoTogetherIsNamed) {
  const auto refusal = [&](const std::string& words) { return vit("eval " + words).last_line(); };
  EXPECT_NE(refusal("calibration").find("give a checkpoint, or --logits FILE"), std::string::npos);
  EXPECT_NE(refusal("calibration " + at("run") + " --fit val --fit-part 20%").find("give one"),
            std::string::npos);
  EXPECT_NE(
      refusal("calibration " + at("run") + " --fit-part much").find("want a share such as 20%"),
      std::string::npos);
  EXPECT_NE(refusal("ood " + at("run")).find("--ood-data SRC"), std::string::npos);
  EXPECT_NE(refusal("robustness " + at("run") + " --corruptions fogg").find("did you mean 'fog'?"),
            std::string::npos);
  EXPECT_NE(refusal("robustness " + at("run") + " --severities 6").find("want some of 1,2,3,4,5"),
            std::string::npos);
  EXPECT_NE(refusal("robustness " + at("run") + " --reference " + at("t.toml"))
                .find("is no result of `vit22b eval robustness --json`"),
            std::string::npos);
  EXPECT_EQ(vit("eval human --csv " + at("nowhere")).code, 3);
  EXPECT_EQ(vit("eval fairness --table " + at("nowhere.csv")).code, 3);
}

}  // namespace
}  // namespace vit22b
