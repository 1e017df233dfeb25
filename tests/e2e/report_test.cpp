#include <gtest/gtest.h>

#include "support/datasets.h"
#include "support/files.h"
#include "support/program.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::Ended;
using test::TempFolder;
using test::vit;

const fs::path kDemo = test::source_path("tests/report/golden/demo");

void copy_demo(const fs::path& to) {
  fs::copy(kDemo, to, fs::copy_options::recursive);
}

TEST(ReportCommand, RunsWithoutMetricsAndOfOtherTasksStandSideBySide) {
  const TempFolder folder;
  copy_demo(folder / "whole");
  copy_demo(folder / "fresh");
  fs::remove(folder / "fresh/metrics.jsonl");
  fs::remove_all(folder / "fresh/results");
  test::write_file(folder / "texts/config.resolved.toml", "task = \"lit\"\n");
  test::write_file(folder / "texts/metrics.jsonl",
                   "{\"step\":1,\"training_loss\":3.5}\n{\"step\":2,\"training_lo");
  const std::string page = (folder / "page.html").string();
  const Ended ended =
      vit("report " + (folder / "whole").string() + " " + (folder / "fresh").string() + " " +
          (folder / "texts").string() + " -o " + page);
  ASSERT_EQ(ended.code, 0) << ended.err;
  const std::string html = test::read_file(page);
  EXPECT_NE(html.find("<td>&quot;classify&quot;</td><td>&quot;classify&quot;</td>"
                      "<td>&quot;lit&quot;</td>"),
            std::string::npos);
  EXPECT_NE(html.find("fresh</td><td></td>"), std::string::npos);
  EXPECT_NE(html.find("texts</td><td>1</td><td>3.5</td>"), std::string::npos);
  ASSERT_EQ(vit("report " + (folder / "fresh").string()).code, 0);
  EXPECT_NE(test::read_file(folder / "fresh/report.html").find("No metrics yet."),
            std::string::npos);
}

TEST(ReportCommand, ADamagedResultIsNamed) {
  const TempFolder folder;
  copy_demo(folder / "run");
  test::write_file(folder / "run/results/eval-test.json", "{\"top1\": 0.5");
  const Ended ended = vit("report " + (folder / "run").string());
  EXPECT_EQ(ended.code, 3);
  EXPECT_NE(ended.last_line().find("results/eval-test.json is damaged"), std::string::npos);
  EXPECT_NE(ended.last_line().find("; evaluate again"), std::string::npos);
}

TEST(EvalCommand, KeepsPicturesOfTheSurestForTheReport) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  test::write_idx(folder / "data", "t10k", 40);
  test::write_file(folder / "c.toml",
                   "total_steps = 4\n[model]\nname = \"test8\"\nimg_size = 16\n"
                   "in_chans = 1\n[data]\nsource = \"idx\"\nbatch_size = 8\n");
  const std::string run = (folder / "run").string();
  ASSERT_EQ(vit("train " + (folder / "c.toml").string() +
                " data.root=" + (folder / "data").string() + " --out " + run)
                .code,
            0);
  ASSERT_EQ(vit("eval " + run).code, 0);
  test::write_file(folder / "run/results/eval-test/99999.png", "of an older evaluation");
  ASSERT_EQ(vit("eval " + run).code, 0);
  EXPECT_FALSE(fs::exists(folder / "run/results/eval-test/99999.png"));
  ASSERT_EQ(vit("report " + run).code, 0);
  const std::string html = test::read_file(folder / "run/report.html");
  EXPECT_NE(html.find("<h3>Surest mistakes"), std::string::npos);
  EXPECT_NE(html.find("alt=\"where the model looks\" src=\"data:image/png;base64,iVBORw0KGgo"),
            std::string::npos);
}

TEST(TrainCommand, GoesOnWhenNobodyReadsItsLog) {
  const TempFolder folder;
  test::write_idx(folder / "data", "train", 90);
  test::write_file(folder / "c.toml",
                   "total_steps = 30\nlog_steps = 1\n[model]\nname = \"test8\"\nimg_size = 16\n"
                   "in_chans = 1\n[data]\nsource = \"idx\"\nbatch_size = 8\n");
  const Ended ended =
      test::shell("bash -c '" + test::program() + " train " + (folder / "c.toml").string() +
                  " data.root=" + (folder / "data").string() + " --out " +
                  (folder / "run").string() + " 2>&1 | head -n 1; exit ${PIPESTATUS[0]}'");
  EXPECT_EQ(ended.code, 128 + SIGPIPE);  // of its last line, for which nobody waits either
  EXPECT_TRUE(fs::exists(folder / "run/ckpt/step-00000030/manifest.json"));
}

TEST(Checkpoint, OfANewerProgramIsRefusedByItsFormat) {
  const TempFolder folder;
  const std::string model = (folder / "m").string();
  ASSERT_EQ(vit("model init test8 img_size=16 num_classes=2 --out " + model).code, 0);
  std::string config = test::read_file(folder / "m/config.json");
  const size_t at = config.find("\"format\": 1");
  ASSERT_NE(at, std::string::npos);
  config.replace(at, 11, "\"format\": 7");
  test::write_file(folder / "m/config.json", config);
  const Ended ended = vit("eval " + model + " --data x");
  EXPECT_EQ(ended.code, 4);
  EXPECT_NE(ended.last_line().find("config.json has format 7, this vit22b ("), std::string::npos)
      << ended.err;
  EXPECT_NE(ended.last_line().find("it was written by a newer one"), std::string::npos);
}

// Standard error is a file here: whole lines, no cursor movements, and letters for colours.
TEST(Output, WithoutATerminalIsPlainLines) {
  const TempFolder folder;
  const std::string model = (folder / "m").string();
  ASSERT_EQ(vit("model init test8 img_size=16 num_classes=2 --out " + model).code, 0);
  const std::string picture = (kDemo / "results/eval-test/1904.png").string();
  const Ended features =
      vit("features " + model + " " + picture + " --out " + (folder / "f.safetensors").string());
  ASSERT_EQ(features.code, 0) << features.err;
  EXPECT_EQ(features.err.find('\033'), std::string::npos);
  EXPECT_EQ(features.err.find('\r'), std::string::npos);
  const Ended shown = vit("explain " + model + " " + picture + " --show", "NO_COLOR=1 ");
  ASSERT_EQ(shown.code, 0) << shown.err;
  EXPECT_EQ(shown.out.find('\033'), std::string::npos);
  EXPECT_GT(shown.out.size(), 64u * 8);
}

}  // namespace
}  // namespace vit22b
