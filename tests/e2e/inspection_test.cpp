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

/// Fresh checkpoints of small models, and pictures.
class Inspection : public testing::Test {
 protected:
  static std::string at(const std::string& name) { return (*folder_ / name).string(); }

  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    const std::string small = "model init ti16 depth=2 embed_dim=24 num_heads=2 img_size=16 -q ";
    for (const auto& [name, words] :
         {std::pair("a", "patch_size=4 num_classes=3 --seed 1"),
          {"b", "patch_size=4 num_classes=3 --seed 2"},
          {"coarse", "patch_size=8 num_classes=5 --seed 3"},
          {"wide", "patch_size=4 num_classes=3 embed_dim=32 depth=3 --seed 4"}})
      ASSERT_EQ(vit(small + words + " --randomize-all --out " + at(name)).code, 0) << name;
    for (int i = 0; i < 9; ++i) test::write_png(*folder_ / concat("photos/", i, ".png"), i % 4, i);
    test::write_file(*folder_ / "some/broken.png", "\x89PNG no more");
    for (int i = 0; i < 5; ++i) test::write_png(*folder_ / concat("some/", i, ".png"), i % 4, i);
    std::filesystem::create_directories(*folder_ / "empty");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static json said(const std::string& words) {
    const Ended ended = vit(words + " --json --quiet");
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ended.code == 0 ? json::parse(ended.out) : json();
  }
  static void expect_failure(const std::string& words, int code, const std::string& text) {
    const Ended ended = vit(words + " --quiet");
    EXPECT_EQ(ended.code, code) << words;
    EXPECT_NE(ended.last_line().find(text), std::string::npos) << ended.err;
    EXPECT_EQ(ended.out, "") << words;
  }

  static std::unique_ptr<TempFolder> folder_;  ///< of all tests
};

std::unique_ptr<TempFolder> Inspection::folder_;

TEST_F(Inspection, DiffOfACheckpointAndItselfIsEqual) {
  const json same = said("model diff " + at("a") + " " + at("a"));
  EXPECT_EQ(same.at("is_equal"), true);
  EXPECT_TRUE(same.at("different").empty());
  EXPECT_GT(same.at("equal"), 20);
}

TEST_F(Inspection, DiffEndsWithZeroWhereTheyDiffer) {
  const Ended ended = vit("model diff " + at("a") + " " + at("wide"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.out.find("of other shapes"), std::string::npos);
  EXPECT_NE(ended.out.find("embed_dim: 24 in A, 32 in B"), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("in B alone: blocks.*."), std::string::npos) << ended.out;
}

TEST_F(Inspection, DiffFindsBfloat16BesideItsOwnRounding) {
  ASSERT_EQ(vit("convert " + at("a") + " " + at("bf16") + " --dtype bf16 -q").code, 0);
  const json found = said("model diff " + at("a") + " " + at("bf16"));
  EXPECT_EQ(found.at("names"), "parameters");
  for (const json& row : found.at("different"))
    EXPECT_LT(row.at("relative").get<double>(), 0.004) << row;  // 2^-8
  EXPECT_FALSE(found.at("different").empty());
  EXPECT_TRUE(found.at("b").at("dtypes").contains("BFloat16"));
}

TEST_F(Inspection, DiffOfWhatIsNotThereSaysSo) {
  expect_failure("model diff " + at("a") + " " + at("none"), 4, "none does not exist");
}

TEST_F(Inspection, StatsOfWeightsNeedNoPictures) {
  const json stats = said("model stats " + at("a"));
  ASSERT_EQ(stats.at("blocks").size(), 2U);
  const json& block = stats.at("blocks")[1];
  for (const char* name : {"norm", "spectral_norm", "outlier_ratio", "kurtosis"})
    EXPECT_TRUE(block.at(name).is_number()) << name;
  EXPECT_TRUE(block.at("entropy").is_null());
  EXPECT_GE(block.at("norm").get<double>(), block.at("spectral_norm").get<double>());
}

TEST_F(Inspection, StatsOfPicturesAddTokensAndHeads) {
  const json stats = said("model stats " + at("a") + " --images " + at("photos") + " --batch 4");
  EXPECT_EQ(stats.at("num_images"), 9);
  const json& block = stats.at("blocks")[0];
  ASSERT_EQ(block.at("entropy").size(), 2U);
  EXPECT_LE(block.at("entropy_share")[0].get<double>(), 1);
  EXPECT_TRUE(block.at("tokens").at("norm").is_number());
  EXPECT_TRUE(block.at("artefacts").at("count").is_number());
  // However the pictures come in batches.
  const json again = said("model stats " + at("a") + " --images " + at("photos") + " --batch 9");
  EXPECT_NEAR(again.at("blocks")[1].at("entropy")[1].get<double>(),
              stats.at("blocks")[1].at("entropy")[1].get<double>(), 1e-6);
}

TEST_F(Inspection, StatsLeaveOutAndNameWhatCannotBeRead) {
  const Ended ended = vit("model stats " + at("a") + " --images " + at("some") + " --json");
  ASSERT_EQ(ended.code, 0) << ended.err;
  const json stats = json::parse(ended.out);
  EXPECT_EQ(stats.at("num_images"), 5);
  ASSERT_EQ(stats.at("bad_samples").size(), 1U);
  EXPECT_NE(ended.err.find("left out: "), std::string::npos);
  EXPECT_NE(ended.err.find("broken.png"), std::string::npos);
}

TEST_F(Inspection, StatsSayWhatIsWrongWithTheirPictures) {
  const std::string stats = "model stats " + at("a");
  expect_failure(stats + " --images " + at("empty"), 3, "holds no .jpg");
  expect_failure(stats + " --images " + at("photos/1.png"), 2, "is one picture; want a folder");
  expect_failure(stats + " --images " + at("nowhere"), 3, "nowhere");
  expect_failure(stats + " --batch 3", 2, "--batch: goes with --images");
  expect_failure(stats + " --images " + at("photos") + " --tower text", 2, "sees none");
  expect_failure("model stats " + at("nowhere"), 4, "does not exist");
}

TEST_F(Inspection, BatchesWithoutAReadablePictureAreLeftOut) {
  // One picture a batch, so that the broken one is alone in its own.
  const std::string one = " --images " + at("some") + " --batch 1";
  EXPECT_EQ(said("model stats " + at("a") + one).at("num_images"), 5);
  EXPECT_EQ(
      said("compare " + at("a") + " " + at("b") + one + " --max-bad-fraction 1").at("num_examples"),
      5);
  test::write_file(*folder_ / "broken/one.png", "\x89PNG no more");
  const std::string none = " --images " + at("broken") + " --max-bad-fraction 1";
  expect_failure("model stats " + at("a") + none, 3, "no sample could be read");
  expect_failure("compare " + at("a") + " " + at("b") + none, 3, "no sample could be read");
}

TEST_F(Inspection, InspectOfWeightsThatAreNotTheModelsFails) {
  std::filesystem::create_directories(*folder_ / "cut");
  for (const char* name : {"config.json", "model.safetensors"})
    std::filesystem::copy_file(*folder_ / "a" / name, *folder_ / "cut" / name);
  std::filesystem::resize_file(*folder_ / "cut/model.safetensors", 3'000);
  expect_failure("model inspect " + at("cut"), 4, "cut");
  std::filesystem::copy_file(*folder_ / "coarse/model.safetensors",
                             *folder_ / "cut/model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  expect_failure("model inspect " + at("cut"), 4, "another model than these weights are of");
}

TEST_F(Inspection, ConvertRefusesPlacesThatAreNotWhatTheyLookLike) {
  const std::string convert = "convert " + at("a") + " ";
  expect_failure(convert + "hf:me/out", 2, "nothing is uploaded");
  expect_failure(convert + "http://127.0.0.1:1/out", 2, "nothing is uploaded");
  expect_failure(convert + at("a.npz"), 2, "--to npz writes such a file");
  expect_failure(convert + at("a.onnx"), 2, "--to onnx writes such a file");
  EXPECT_FALSE(std::filesystem::exists("hf:me"));
}

TEST_F(Inspection, StatsOfWeightsOfUnknownHeadsAskForThem) {
  ASSERT_EQ(vit("model init ti16 block=serial embed_dim=160 num_heads=4 depth=2 num_classes=0 -q "
                "--out " +
                at("serial"))
                .code,
            0);
  std::filesystem::create_directories(*folder_ / "bare");
  std::filesystem::copy_file(*folder_ / "serial/model.safetensors",
                             *folder_ / "bare/w.safetensors");
  expect_failure("model stats " + at("bare/w.safetensors"), 4, "num_heads");
  EXPECT_EQ(said("model stats " + at("bare/w.safetensors") + " num_heads=4").at("blocks").size(),
            2U);
}

TEST_F(Inspection, InspectSaysWhetherTheModelFitsHere) {
  const json inspected = said("model inspect " + at("a"));
  const json& here = inspected.at("fits_here");
  EXPECT_EQ(here.at("infer").at("fits"), true);
  EXPECT_EQ(here.at("train").at("fits"), true);
  EXPECT_GT(here.at("train").at("bytes"), here.at("infer").at("bytes"));
  EXPECT_NE(vit("model inspect " + at("a")).out.find("fits here: one picture "), std::string::npos);
}

TEST_F(Inspection, InspectDrawsTheBlocks) {
  ASSERT_EQ(vit("model inspect " + at("a") + " --svg " + at("a.svg") + " -q").code, 0);
  const std::string svg = test::read_file(*folder_ / "a.svg");
  EXPECT_EQ(svg.rfind("<svg xmlns", 0), 0U);
  EXPECT_NE(svg.find(">2 blocks<"), std::string::npos);
  const Ended nowhere = vit("model inspect " + at("a") + " --svg " + at("no/folder/a.svg"));
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_NE(nowhere.last_line().find("no/folder"), std::string::npos) << nowhere.err;
}

TEST_F(Inspection, AModelComparedWithItselfIsAlike) {
  const json same = said("compare " + at("a") + " " + at("a") + " --images " + at("photos"));
  EXPECT_NEAR(same.at("pooled_cosine").at("mean").get<double>(), 1, 1e-6);
  EXPECT_NEAR(same.at("patch_cosine").at("percentile_1").get<double>(), 1, 1e-6);
  EXPECT_EQ(same.at("top1_agreement"), 1);
  EXPECT_NEAR(same.at("cka").get<double>(), 1, 1e-9);
  EXPECT_NEAR(same.at("cka_unbiased").get<double>(), 1, 1e-9);
  ASSERT_EQ(same.at("cka_layers").size(), 2U);
  EXPECT_NEAR(same.at("cka_layers")[1][1].get<double>(), 1, 1e-9);
  EXPECT_NEAR(same.at("cka_layers")[0][1].get<double>(), same.at("cka_layers")[1][0].get<double>(),
              1e-9);
}

TEST_F(Inspection, ModelsOfOtherGridsWidthsAndClassesAreComparedByWhatIsThere) {
  const json coarse = said("compare " + at("a") + " " + at("coarse") + " --images " + at("photos"));
  EXPECT_TRUE(coarse.at("pooled_cosine").at("mean").is_number());
  EXPECT_TRUE(coarse.at("patch_cosine").at("mean").is_null());
  EXPECT_EQ(coarse.at("reasons").at("patch_cosine"), "grids of 4 x 4 and 2 x 2 patches");
  EXPECT_TRUE(coarse.at("top1_agreement").is_null());
  EXPECT_EQ(coarse.at("reasons").at("top1_agreement"), "3 and 5 classes");
  const json wide = said("compare " + at("a") + " " + at("wide") + " --images " + at("photos"));
  EXPECT_EQ(wide.at("reasons").at("pooled_cosine"), "of width 24 and 32");
  ASSERT_EQ(wide.at("cka_layers").size(), 2U);
  EXPECT_EQ(wide.at("cka_layers")[0].size(), 3U);
}

TEST_F(Inspection, ComparedPicturesThatCannotBeReadAreNamed) {
  const std::string words = "compare " + at("a") + " " + at("b") + " --images ";
  expect_failure(words + at("some"), 3, "broken.png");
  const json left = said(words + at("some") + " --max-bad-fraction 1");
  EXPECT_EQ(left.at("num_examples"), 5);
  EXPECT_EQ(left.at("bad_samples").size(), 1U);
  expect_failure(words + at("empty"), 3, "holds no .jpg");
  expect_failure(words + at("photos/1.png"), 2, "is one picture");
}

}  // namespace
}  // namespace vit22b
