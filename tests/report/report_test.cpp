#include <gtest/gtest.h>

#include "core/error.h"
#include "report/comparison.h"
#include "report/html.h"
#include "report/svg.h"
#include "support/files.h"

namespace vit22b {
namespace {

void write_run(const test::TempFolder& folder) {
  test::write_file(folder / "config.resolved.toml", "seed = 3\nname = \"<b>&\"\n");
  test::write_file(
      folder / "metrics.jsonl",
      "{\"step\":1,\"training_loss\":2.5,\"lr\":0.1,\"attention_entropy\":[1.0,2.0]}\n"
      "{\"step\":2,\"training_loss\":null,\"lr\":0.2,\"attention_entropy\":[1.5,null]}\n"
      "{\"step\":2,\"val/accuracy\":0.5}\n{\"step\":3,\"training_lo");
  test::write_file(
      folder / "results/eval-test.json",
      R"({"top1":0.875,"ece":null,"label_names":["a<b","c"],"confusion":[[7,1],[0,0]],"calibration":[{"count":0,"accuracy":0,"confidence":0},{"count":8,"accuracy":0.9,"confidence":0.8}]})");
}

TEST(RunReader, LeavesOutUndefinedValuesAndATornLastLine) {
  const test::TempFolder folder;
  write_run(folder);
  const RunData run = read_run(folder.path());
  EXPECT_EQ(run.series.at("training_loss").values, std::vector<double>{2.5});
  EXPECT_EQ(run.series.at("lr").steps, (std::vector<double>{1, 2}));
  EXPECT_EQ(run.by_block.at("attention_entropy")[1].values, std::vector<double>{2});
  EXPECT_EQ(run.results.at(0).numbers,
            (std::vector<std::pair<std::string, double>>{{"top1", 0.875}}));
}

TEST(Report, IsOnePageWithoutScriptsEscapedAndTheSameBytes) {
  const test::TempFolder folder;
  write_run(folder);
  const std::string page = report_html(read_run(folder.path()));
  EXPECT_EQ(page, report_html(read_run(folder.path())));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_NE(page.find("&lt;b&gt;&amp;"), std::string::npos);
  EXPECT_NE(page.find("a&lt;b"), std::string::npos);
  EXPECT_NE(page.find("87.5 %"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

// golden/README.md says how it is made anew.
TEST(Report, OfTheDemoIsWhatItWasToTheByte) {
  const auto golden = test::source_path("tests/report/golden");
  const std::string page = report_html(read_run(golden / "demo"));
  EXPECT_TRUE(page == test::read_file(golden / "demo.html"))
      << "the report has changed; where that is meant, tests/report/golden/README.md";
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  size_t pictures = 0;
  for (size_t at = 0; (at = page.find("src=\"", at)) != std::string::npos; ++pictures)
    EXPECT_EQ(page.compare(at += 5, 22, "data:image/png;base64,"), 0);
  EXPECT_EQ(pictures, 12u);  // six examples with where the model looks
}

TEST(Report, APictureThatIsNoneIsLeftOut) {
  const test::TempFolder folder;
  write_run(folder);
  test::write_file(
      folder / "results/eval-test.json",
      R"({"examples":[{"sample":4,"id":"a/<x>","label":1,"prediction":0,"probability":0.5}]})");
  test::write_file(folder / "results/eval-test/4.png", "<svg onload=alert(1)>");
  const std::string page = report_html(read_run(folder.path()));
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("svg onload"), std::string::npos);
  EXPECT_NE(page.find("1 taken for 0, 50 %<br><span class=\"hint\">&lt;x&gt;</span>"),
            std::string::npos);
}

TEST(Report, ManyClassesHaveTheirMostConfusedPairs) {
  const test::TempFolder folder;
  write_run(folder);
  test::write_file(
      folder / "results/eval-test.json",
      R"({"label_names":["ant","bee"],"confusion":{"labels":[8,2],"predictions":[7,3],"right":[6,1],"most_confused":[{"label":0,"prediction":1,"count":2},{"label":1,"prediction":0,"count":1}]}})");
  const std::string page = report_html(read_run(folder.path()));
  EXPECT_NE(page.find("ant</td><td class=\"key\">bee</td><td>2</td><td>25 %"), std::string::npos);
  EXPECT_NE(page.find("bee</td><td class=\"key\">ant</td><td>1</td><td>50 %"), std::string::npos);
  EXPECT_EQ(page.find("<h3>Confusion"), std::string::npos);
}

TEST(Report, AResultNestedWithoutEndIsRefused) {
  const test::TempFolder folder;
  write_run(folder);
  test::write_file(folder / "results/eval-test.json",
                   "{\"x\":" + std::string(300'000, '[') + std::string(300'000, ']') + "}");
  EXPECT_EQ(
      test::error_of<UserError>([&] { read_run(folder.path()); }),
      (folder / "results/eval-test.json").string() + ": its brackets are nested more than 64 deep");
}

// One step of these axes is less than the numbers' last bit.
TEST(LinePlot, OfNumbersThatHardlyDifferEnds) {
  const Series series{{1e17, 1e17 + 16}, {-1e17, -1e17 + 16}};
  const std::string plot = line_plot("a", {{"b", &series}}, "");
  size_t texts = 0;
  for (size_t at = 0; (at = plot.find("<text", at)) != std::string::npos; ++at) ++texts;
  EXPECT_LE(texts, 42u);  // 20 ticks an axis, two titles
}

TEST(Report, SeveralRunsShowHowTheyEndedAndWhereTheyDiffer) {
  const test::TempFolder folder, other;
  write_run(folder);
  write_run(other);
  test::write_file(other / "config.resolved.toml", "seed = 4\nname = \"<b>&\"\n");
  RunData a = read_run(folder.path()), b = read_run(other.path());
  a.name = "a<";
  b.name = "b,c";
  const std::string page = comparison_html({a, b});
  EXPECT_EQ(page, comparison_html({a, b}));
  EXPECT_NE(page.find("<tr><td class=\"key\">seed</td><td>3</td><td>4</td></tr>"),
            std::string::npos);
  EXPECT_EQ(page.find("<td class=\"key\">name</td>"), std::string::npos);  // equal in both
  EXPECT_NE(page.find(" a&lt;</td><td>2</td><td>2.5</td><td>0.5</td><td>87.5 %"),
            std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(metrics_csv({a, b}),
            "run,step,lr,training_loss,val/accuracy\n"
            "a<,1,0.10000000000000001,2.5,\na<,2,0.20000000000000001,,0.5\n"
            "\"b,c\",1,0.10000000000000001,2.5,\n\"b,c\",2,0.20000000000000001,,0.5\n");
}

TEST(Report, FiftyLongRunsMakeASmallPage) {
  RunData run;
  for (const char* name : {"training_loss", "lr", "l2_grads", "img_per_sec", "mfu", "data_share"})
    for (int i = 0; i < 10'000; ++i) {
      run.series[name].steps.push_back(i);
      run.series[name].values.push_back(i % 13);
    }
  EXPECT_LT(comparison_html(std::vector<RunData>(50, run)).size(), 5u << 20);
}

TEST(Report, NamesThePairsThatAreConfusedMost) {
  const test::TempFolder folder;
  write_run(folder);
  const std::string page = report_html(read_run(folder.path()));
  EXPECT_NE(page.find("<td class=\"key\">a&lt;b</td><td class=\"key\">c</td><td>1</td>"
                      "<td>12.5 %</td>"),
            std::string::npos);
}

TEST(HeatMap, HasABrightAndADarkEndAndFewCells) {
  Series low, high;
  for (int i = 0; i < 1000; ++i) {
    low.steps.push_back(i);
    low.values.push_back(0);
    high.steps.push_back(i);
    high.values.push_back(2);
  }
  const std::string map = heat_map("t", {low, high}, "block");
  EXPECT_NE(map.find("#440154"), std::string::npos);
  EXPECT_NE(map.find("#fde725"), std::string::npos);
  EXPECT_LT(map.size(), 30'000u);
}

TEST(Report, AFolderWithoutARunIsRefused) {
  const test::TempFolder folder;
  EXPECT_NE(test::error_of<UsageError>([&] { read_run(folder.path()); }).find("is no run folder"),
            std::string::npos);
}

TEST(ShortNumber, KeepsWholeNumbersAndFourDigits) {
  EXPECT_EQ(short_number(10'000), "10000");
  EXPECT_EQ(short_number(0.000123456), "0.000123");
  EXPECT_EQ(short_number(0.87654), "0.8765");
  EXPECT_EQ(short_number(1.5e9), "1.5e+09");
}

TEST(LinePlot, ManyPointsAreThinnedToTheEnds) {
  Series series;
  for (int i = 0; i < 100'000; ++i) {
    series.steps.push_back(i);
    series.values.push_back(i % 7);
  }
  EXPECT_LT(line_plot("t", {{"a", &series}}, "").size(), 20'000u);
}

TEST(LinePlot, AConstantOrASinglePointIsDrawn) {
  const Series constant{{1, 2}, {3, 3}}, single{{1}, {3}};
  EXPECT_NE(line_plot("t", {{"a", &constant}}, "").find("<polyline"), std::string::npos);
  EXPECT_NE(line_plot("t", {{"a", &single}}, "").find("<circle"), std::string::npos);
}

}  // namespace
}  // namespace vit22b
