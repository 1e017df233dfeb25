#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "core/text.h"
#include "support/files.h"
#include "support/pictures.h"
#include "support/program.h"

namespace vit22b {
namespace {

using nlohmann::json;
using test::Ended;
using test::TempFolder;
using test::vit;

/// Four pictures, the second of which is none, and a small classifier of `classes` classes.
class Predict : public testing::Test {
 protected:
  explicit Predict(int classes = 3) {
    for (int i = 0; i < 4; ++i) test::write_png(folder_ / concat("photos/p", i, ".png"), i, i);
    test::write_file(folder_ / "photos/p1.png", "no picture");
    EXPECT_EQ(
        vit(concat("model init test8 img_size=16 num_classes=", classes, " --out ", at("m"))).code,
        0);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  Ended predict(const std::string& more) const {
    return vit("predict " + at("m") + " " + at("photos") + " " + more);
  }
  /// What --json printed, an object a line.
  static std::vector<json> lines_of(const std::string& text) {
    std::vector<json> lines;
    for (const std::string& line : split(trim(text), '\n')) lines.push_back(json::parse(line));
    return lines;
  }

  TempFolder folder_;
};

TEST_F(Predict, JsonIsALineAnImageInOrderAndABadFileSaysWhy) {
  const Ended said = predict("--json --top 2 --batch 3");
  EXPECT_EQ(said.code, 0) << said.err;
  const std::vector<json> lines = lines_of(said.out);
  ASSERT_EQ(lines.size(), 4U);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(lines[i]["path"], at(concat("photos/p", i, ".png")));
  EXPECT_EQ(lines[0]["predictions"].size(), 2U);
  EXPECT_EQ(lines[0]["predictions"][0].size(), 3U);
  EXPECT_NE(lines[1]["error"].get<std::string>().find("p1.png is neither"), std::string::npos);
  EXPECT_FALSE(lines[1].contains("predictions"));
}

// A named pipe that nobody writes into is a bad file, not one to wait for.
TEST_F(Predict, APipeAmongThePicturesIsABadFile) {
  ASSERT_EQ(mkfifo(at("pipe.png").c_str(), 0600), 0);
  const Ended said =
      vit("predict " + at("m") + " " + at("photos/p0.png") + " " + at("pipe.png") + " --json");
  EXPECT_EQ(said.code, 0) << said.err;
  const std::vector<json> lines = lines_of(said.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["error"], at("pipe.png") + " is a pipe, not a regular file");
}

TEST_F(Predict, AListMayBeAPipe) {
  const Ended said =
      test::shell("bash -c '" + test::program() + " predict " + at("m") + " --json --list <(cd " +
                  at("photos") + " && ls -d $PWD/p2.png $PWD/p3.png)'");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(lines_of(said.out).size(), 2U);
}

TEST_F(Predict, TextNamesABadFileInAWarningAndGoesOn) {
  const Ended said = predict("--top 1");
  EXPECT_EQ(said.code, 0);
  EXPECT_EQ(split(trim(said.out), '\n').size(), 6U);
  EXPECT_NE(said.err.find("warning: left out: " + at("photos/p1.png")), std::string::npos);
}

TEST_F(Predict, EndsWith3OnlyWhereNoFileCanBeRead) {
  const Ended none = vit("predict " + at("m") + " " + at("photos/p1.png") + " --json");
  EXPECT_EQ(none.code, 3);
  EXPECT_EQ(none.last_line(), "error: none of 1 images could be read");
  EXPECT_TRUE(lines_of(none.out).at(0).contains("error"));
}

TEST_F(Predict, OutIsATableByItsEndingElseJsonLines) {
  ASSERT_EQ(predict("--top 1 --out " + at("t.csv")).code, 0);
  const std::vector<std::string> rows = split(test::read_file(at("t.csv")), '\n');
  EXPECT_EQ(rows.at(0), "path,rank,label,index,probability,error");
  EXPECT_EQ(rows.at(1).find(at("photos/p0.png") + ",1,"), 0U);
  EXPECT_EQ(rows.at(2).find(at("photos/p1.png") + ",,,,,"), 0U);
  const Ended said = predict("--json --out " + at("t.jsonl"));
  EXPECT_EQ(test::read_file(at("t.jsonl")), said.out);
}

TEST_F(Predict, TheCheckpointIsComplainedOfBeforeTheImages) {
  EXPECT_EQ(vit("predict " + at("nowhere") + " " + at("no.png")).last_line(),
            "error: checkpoint " + at("nowhere") + " does not exist");
}

TEST_F(Predict, LabelsOfAFileReplaceTheCheckpointsNames) {
  test::write_file(at("l.txt"),
                   "\xef\xbb\xbf"
                   "ant\r\nbee, a\r\ncat\r\n");
  for (const json& one :
       lines_of(predict("--json --labels " + at("l.txt")).out).at(0)["predictions"]) {
    const char* want[] = {"ant", "bee, a", "cat"};
    EXPECT_EQ(one["label"], want[one["index"].get<size_t>()]);
  }
  test::write_file(at("l.txt"), "ant\nbee\n");
  EXPECT_EQ(predict("--labels " + at("l.txt")).last_line(),
            "error: " + at("l.txt") + " names 2 classes, there are 3");
}

TEST_F(Predict, ANameCannotSteerATerminal) {
  test::write_file(at("l.txt"), "\033[2Jant\nbee\ncat\n");
  const std::string line = test::program() + " predict " + at("m") + " " + at("photos/p0.png") +
                           " --labels " + at("l.txt");
  EXPECT_NE(test::shell(line).out.find("\033[2Jant"), std::string::npos);
  if (test::shell("command -v script").code != 0) GTEST_SKIP() << "script(1) makes the terminal";
  const std::string shown = test::shell("script -qec '" + line + "' /dev/null").out;
  EXPECT_NE(shown.find("\\x1b[2Jant"), std::string::npos);
}

/// The same model as timm would store it, of a thousand classes.
class PredictTimm : public Predict {
 protected:
  PredictTimm() : Predict(1000) {}
  /// The labels of the best class, by its index, under a tag.
  std::pair<std::string, size_t> best_under(const json& tag) const {
    json config = json::parse(test::read_file(at("m/config.json")));
    config.erase("vit22b");
    config["pretrained_cfg"]["tag"] = tag;
    test::write_file(at("m/config.json"), config.dump());
    std::filesystem::remove(at("m/manifest.json"));  // it knows the file of before
    const json best = lines_of(predict("--json --top 1").out).at(0)["predictions"][0];
    return {best["label"], best["index"]};
  }
};

TEST_F(PredictTimm, ImageNetsNamesComeWithTheTag) {
  const auto [label, index] = best_under("augreg_in21k_ft_in1k");
  EXPECT_NE(label, std::to_string(index));
  EXPECT_NE(label.find_first_of("abcdefghijklmnopqrstuvwxyz"), std::string::npos);
  EXPECT_EQ(best_under("").first, label);
}

TEST_F(PredictTimm, AnotherTagAndOurOwnCheckpointsHaveNoneByTheirNumberAlone) {
  const json own = lines_of(predict("--json --top 1").out).at(0)["predictions"][0];
  EXPECT_EQ(own["label"], std::to_string(own["index"].get<int>()));
  const auto [label, index] = best_under("laion2b");
  EXPECT_EQ(label, std::to_string(index));
}

}  // namespace
}  // namespace vit22b
