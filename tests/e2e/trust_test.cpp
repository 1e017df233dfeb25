#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
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

// Of other pictures of its classes answers are taken from those alone, and the tested pictures of
// the same classes stand beside.
TEST_F(Trust, OtherPicturesOfItsClasses) {
  for (int i = 0; i < 8; ++i) {
    test::write_png(*folder_ / concat("a/red/", i, ".png"), 0, 900 + i);
    test::write_png(*folder_ / concat("a/white/", i, ".png"), 3, 900 + i);
    test::write_png(*folder_ / concat("o/warm/", i, ".png"), i % 2 * 3, 950 + i);
    test::write_png(*folder_ / concat("o/unknown/", i, ".png"), 1, 950 + i);
  }
  test::write_file(*folder_ / "o.json", R"({"warm": "red; white", "cold": [1, "blue"]})");
  for (const auto& [name, first] : {std::pair("imagenet-a", 20), {"imagenet-a-clean", 70}}) {
    std::string rows = "model,top1,img_size\n";
    for (int i = 0; i < 5; ++i) rows += concat("m", i, ",", first + 3 * i, ",224\n");
    test::write_file(*folder_ / concat("timm/results-", name, ".csv"), rows);
  }
  const json result =
      said("robustness " + at("run") + " --set a=" + at("a") + " --set o=" + at("o") +
           " --set-map o=" + at("o.json") + " --baselines " + at("timm"));
  EXPECT_FALSE(result.contains("by_corruption"));
  EXPECT_EQ(result.at("clean").at("accuracy"), said(at("run")).at("top1"));
  const json &a = result.at("sets").at("a"), &o = result.at("sets").at("o");
  EXPECT_EQ(a.at("num_examples"), 16);
  EXPECT_EQ(a.at("num_classes"), 2);
  EXPECT_EQ(a.at("baselines"), 5);
  EXPECT_EQ(o.at("num_examples"), 8);
  EXPECT_EQ(o.at("num_left_out"), 8);
  EXPECT_TRUE(result.at("effective_robustness").at("o").is_null());
  // By the plain evaluation, which restricts on request.
  EXPECT_EQ(a.at("accuracy"), said(at("run") + " --restrict --data " + at("a")).at("top1"));
  // Every picture of a colour is of both classes that its folder stands for.
  EXPECT_EQ(o.at("accuracy"), 1);
}

// ReaL's answers by pictures: those that show nothing of the classes are left out.
TEST_F(Trust, PicturesByAllThatTheyShow) {
  json by_name = json::object(), plain = said(at("run"));
  for (int i = 0; i < 12; ++i)
    by_name[concat(i, ".png")] = i < 3 ? json::array() : json({0, 1, 2, 3});
  test::write_file(*folder_ / "real.json", by_name.dump());
  const json result = said("robustness " + at("run") + " --real " + at("real.json"));
  EXPECT_EQ(result.at("sets").at("real").at("num_examples"), 36);
  EXPECT_EQ(result.at("sets").at("real").at("accuracy"), 1);
  EXPECT_EQ(result.at("sets").at("real").at("tested_accuracy"), plain.at("top1"));
  by_name["5.png"] = {4};
  test::write_file(*folder_ / "real.json", by_name.dump());
  EXPECT_NE(vit("eval robustness " + at("run") + " --real " + at("real.json"))
                .last_line()
                .find("4 is none of the model's 4 classes"),
            std::string::npos);
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

// Images of one's own, in a model's own classes.
TEST_F(Trust, ShapeBiasOfOnesOwnImages) {
  for (int i = 0; i < 4; ++i)
    for (int other = 0; other < 4; ++other)
      test::write_png(
          *folder_ / concat("own/cue-conflict/", kColours[i], 1, "-", kColours[other], "2.png"),
          other, 60 + i);
  const json result = said("human " + at("run") + " --categories own --stimuli " + at("own"));
  EXPECT_EQ(result.at("categories_by"), "the model's classes");
  test::write_png(*folder_ / "odd/cue-conflict/red1-Blue2.png", 0, 1);
  EXPECT_NE(vit("eval human " + at("run") + " --categories own --stimuli " + at("odd"))
                .last_line()
                .find("the texture 'Blue' is none of"),
            std::string::npos);
  // Where shape and texture are one, no answer says which it was by.
  EXPECT_EQ(result.at("shape_count").get<int>() + result.at("texture_count").get<int>() +
                result.at("neither_count").get<int>(),
            12);
  const Ended people = vit("eval human " + at("run") + " --stimuli " + at("own"));
  EXPECT_NE(people.last_line().find("none is called 'airplane'"), std::string::npos);
}

// Super-categories, by the names' beginnings or a file: sums of the classes'.
TEST_F(Trust, AccuracyByGroupsOfClasses) {
  test::write_file(*folder_ / "groups.csv",
                   "class,group\nred,warm\nwhite,none\ngreen,cold\nblue,cold\n");
  const json by_file = said(at("run") + " --class-groups " + at("groups.csv"));
  const json& groups = by_file.at("per_group");
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].at("group"), "cold");
  EXPECT_EQ(groups[0].at("num_classes"), 2);
  EXPECT_EQ(groups[0].at("num_examples"), 24);
  double right = 0;
  for (const json& group : groups)
    right += group.at("accuracy").get<double>() * group.at("num_examples").get<double>();
  EXPECT_NEAR(right / 48, by_file.at("top1").get<double>(), 1e-12);
  const std::string knn = "knn " + at("run") + " --train " + at("data") + " --k 3 --class-groups ";
  const json near = json::parse(vit(knn + at("groups.csv") + " --json --quiet").out);
  EXPECT_EQ(near.at("per_group").at("3").size(), 3U);
  EXPECT_NE(vit(knn + "prefix").last_line().find("'blue' has no group: no '/'"), std::string::npos);
  test::write_file(*folder_ / "few.csv", "class,group\nred,warm\n");
  EXPECT_NE(vit("eval " + at("run") + " --class-groups " + at("few.csv"))
                .last_line()
                .find("has no group"),
            std::string::npos);
}

// CelebA's layout: frozen features, a regression, thresholds by a partition.
TEST_F(Trust, GroupsOfPicturesInCelebAsLayout) {
  std::string attributes = "120\nWarm Bright\n", partition;
  for (int i = 0; i < 120; ++i) {
    const int colour = i % 4;
    const std::string name = concat(i, ".png");
    test::write_png(*folder_ / ("celeba/" + name), colour, 300 + i);
    attributes += concat(name, colour == 0 ? "  1 " : " -1 ", i % 3 == 0 ? " 1" : "-1", "\n");
    partition += concat(name, " ", i % 4 == 3 ? 2 : i / 40, "\n");
  }
  test::write_file(*folder_ / "list_attr.txt", attributes);
  test::write_file(*folder_ / "list_partition.txt", partition);
  const std::string words = "fairness " + at("run") + " --attributes " + at("list_attr.txt") +
                            " --pictures " + at("celeba") + " --label Warm --group Bright";
  const json result = said(words + " --partition " + at("list_partition.txt"));
  EXPECT_EQ(result.at("groups").size(), 2U);
  EXPECT_EQ(result.at("num_train"), 30);
  EXPECT_GT(result.at("accuracy_per_group")[0].at("accuracy"), 0.6);
  EXPECT_EQ(result.at("rto").size(), 6U);
  EXPECT_EQ(said(words).at("parts_by"), "drawn, half to train, seed 0");
  EXPECT_EQ(said(words), said(words));
  EXPECT_NE(vit("eval fairness " + at("run") + " --attributes " + at("list_attr.txt") +
                " --label Warm --group Brigh")
                .last_line()
                .find("did you mean 'Bright'?"),
            std::string::npos);
  EXPECT_NE(vit("eval fairness " + at("run")).last_line().find("--attributes FILE"),
            std::string::npos);
  EXPECT_NE(vit("eval " + words + " --score x").last_line().find("is of a --table"),
            std::string::npos);
}

// A model is as near to itself as can be; what cannot be compared is undefined.
TEST_F(Trust, TwoModelsOnTheSamePictures) {
  const std::string images = " --images " + at("data/test") + " --json --quiet";
  const json same = json::parse(vit("compare " + at("run") + " " + at("run") + images).out);
  EXPECT_NEAR(same.at("cka").get<double>(), 1, 1e-9);
  EXPECT_NEAR(same.at("patch_cosine").at("percentile_1").get<double>(), 1, 1e-6);
  EXPECT_EQ(same.at("top1_agreement"), 1);
  ASSERT_EQ(
      vit("model init test8 img_size=16 embed_dim=16 num_classes=3 --out " + at("narrow")).code, 0);
  const json other = json::parse(vit("compare " + at("run") + " " + at("narrow") + images).out);
  EXPECT_TRUE(other.at("pooled_cosine").at("mean").is_null());
  EXPECT_TRUE(other.at("top1_agreement").is_null());
  EXPECT_TRUE(other.at("cka").is_number());
  // Classes are the same by name, not by number.
  std::filesystem::copy(at("run/ckpt/latest/"), at("turned"),
                        std::filesystem::copy_options::recursive);
  json config = json::parse(test::read_file(at("turned/config.json")));
  std::reverse(config["label_names"].begin(), config["label_names"].end());
  std::filesystem::remove(at("turned/manifest.json"));
  test::write_file(at("turned/config.json"), config.dump());
  EXPECT_EQ(json::parse(vit("compare " + at("run") + " " + at("turned") + images).out)
                .at("top1_agreement"),
            0);
  EXPECT_NE(vit("compare " + at("run") + " " + at("run") + " --images nowhere")
                .last_line()
                .find("nowhere"),
            std::string::npos);
  EXPECT_NE(vit("compare " + at("run") + images).last_line().find("compares two checkpoints"),
            std::string::npos);
  EXPECT_NE(vit("compare a b").last_line().find("give --against FILE"), std::string::npos);
}

// Numbers that are none pass the bounds of ranges, and outputs the names of inputs.
TEST_F(Trust, NoNumberIsNanAndNoOutputIsAnInput) {
  EXPECT_NE(vit("probe " + at("run") + " --train " + at("data") + " --hold-out nan")
                .last_line()
                .find("is 'nan', want a number"),
            std::string::npos);
  EXPECT_NE(vit("probe " + at("run") + " --train " + at("data") + " --c 0")
                .last_line()
                .find("want a number above 0, not 0"),
            std::string::npos);
  test::write_file(at("labels.txt"), "blue\ngreen\nred\nwhite\n");
  const Ended over =
      vit("eval " + at("run") + " --labels " + at("labels.txt") + " --out " + at("labels.txt"));
  EXPECT_EQ(over.code, 2);
  EXPECT_NE(over.last_line().find("is what the command reads (--labels)"), std::string::npos);
  EXPECT_EQ(test::read_file(at("labels.txt")), "blue\ngreen\nred\nwhite\n");
  const std::string weights = at("run/ckpt/latest/model.safetensors"),
                    before = test::read_file(weights);
  EXPECT_EQ(vit("features " + at("run/ckpt/latest") + " --data " + at("data") +
                " --split test --only logits --out " + weights)
                .code,
            2);
  EXPECT_TRUE(test::read_file(weights) == before);
  test::write_file(at("one.json"), R"({"accuracy": 0.5})");
  EXPECT_EQ(vit("report " + at("one.json") + " --out " + at("one.json")).code, 2);
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
  const std::string robustness = "robustness " + at("run") + " ";
  EXPECT_NE(refusal(robustness + "--set a=" + at("data/train") + " --check-overlap")
                .find("are training pictures too"),
            std::string::npos);
  EXPECT_NE(refusal(robustness + "--set a=x --severities 1").find("is of corruptions"),
            std::string::npos);
  EXPECT_NE(refusal(robustness + "--set b=x --crops paper").find("there is neither"),
            std::string::npos);
  EXPECT_EQ(vit("eval human " + at("run") + " --categories own --stimuli nowhere").code, 3);
  EXPECT_NE(refusal(robustness + "--set a").find("want NAME=SRC"), std::string::npos);
  EXPECT_NE(refusal(robustness + "--set a=x --set a=y").find("is there twice"), std::string::npos);
  EXPECT_NE(refusal(robustness + "--set-map a=x").find("go with --set"), std::string::npos);
  EXPECT_NE(refusal(robustness + "--set a=x --restrict").find("its own classes anyway"),
            std::string::npos);
  EXPECT_NE(refusal(robustness + "--set a=" + at("strange")).find("no images in"),
            std::string::npos);
  EXPECT_NE(refusal(robustness + "--set a=" + at("data/test") + " --baselines " + at("nowhere"))
                .find("is no folder of results"),
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
