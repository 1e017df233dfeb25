#include "report/measure_page.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "report/dot_plot.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::TempFolder;

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(MeasurePage, DrawsWhatEachResultHas) {
  const TempFolder folder;
  test::write_file(folder / "calibration.json", R"({"ece_15": 0.1, "reliability": [
    {"count": 4, "accuracy": 0.5, "confidence": 0.4, "low": 0.25, "high": 0.75},
    {"count": 0, "accuracy": null, "confidence": null, "low": null, "high": null}]})");
  test::write_file(folder / "human.json", R"({"shape_bias": 0.9, "shape_bias_by_category": [
    {"observer": "humans", "category": "cat", "shape": 9, "texture": 1, "shape_bias": 0.9},
    {"observer": "my<model>", "category": "cat", "shape": 1, "texture": 1, "shape_bias": 0.5},
    {"observer": "my<model>", "category": "dog", "shape": 0, "texture": 0, "shape_bias": null}],
    "by_condition": [
    {"observer": "humans", "set": "contrast", "condition": "c05", "accuracy": 0.8},
    {"observer": "humans", "set": "contrast", "condition": "c10", "accuracy": 0.9},
    {"observer": "humans", "set": "sketch", "condition": "0", "accuracy": 0.9}]})");
  const std::string page = measures_html({folder / "calibration.json", folder / "human.json"});
  EXPECT_NE(page.find("calibration: accuracy by confidence"), std::string::npos);
  EXPECT_EQ(count_of(page, "perfect calibration: 0.25 to 0.75"), 1);
  EXPECT_NE(page.find("Shape bias by category"), std::string::npos);
  EXPECT_NE(page.find("my&lt;model&gt;, cat: 0.5"), std::string::npos);
  EXPECT_EQ(page.find("my<model>"), std::string::npos);
  EXPECT_EQ(page.find(", dog: "), std::string::npos);  // undefined, so no dot
  EXPECT_NE(page.find("contrast: accuracy by condition"), std::string::npos);
  EXPECT_EQ(page.find("sketch: accuracy by condition"), std::string::npos);  // there is but one
  EXPECT_EQ(page, measures_html({folder / "calibration.json", folder / "human.json"}));
}

// Files of one name are told apart by their places, and what they share stands side by side.
TEST(MeasurePage, PutsModelsSideBySide) {
  const TempFolder folder;
  for (const char* model : {"a", "b"})
    test::write_file(folder / concat(model, "/robustness.json"),
                     R"({"by_corruption": {"fog": {"accuracy": 0.5}, "snow": {"accuracy": 0.25}},
      "by_severity": [{"corruption": "fog", "severity": 1, "accuracy": 0.75},
                      {"corruption": "fog", "severity": 5, "accuracy": 0.25}]})");
  const std::string page =
      measures_html({folder / "a/robustness.json", folder / "b/robustness.json"});
  EXPECT_EQ(count_of(page, "Accuracy by corruption</title>"), 1);
  EXPECT_EQ(count_of(page, ", fog: 0.5"), 2);
  EXPECT_EQ(count_of(page, "by_corruption.snow.accuracy</td><td>0.25"), 2);
  EXPECT_NE(page.find((folder / "a/robustness.json").string()), std::string::npos);
  EXPECT_EQ(count_of(page, "<polyline"), 2);
}

TEST(MeasurePage, RefusesOtherFiles) {
  const TempFolder folder;
  test::write_file(folder / "x.json", "no json");
  EXPECT_THROW(measures_html({folder / "x.json"}), UserError);
  EXPECT_THROW(measures_html({folder / "none.json"}), UserError);
  for (const char* json : {"[]", "{}", "null"}) {
    test::write_file(folder / "x.json", json);
    EXPECT_THROW(measures_html({folder / "x.json"}), UserError) << json;
  }
}

TEST(DotPlot, KeepsToThePlaneAndToItsRows) {
  const std::vector<std::string> rows(100, "row");
  const std::string plot = dot_plot("t", rows, {{"s", std::vector<double>(100, 2.0)}}, "share");
  EXPECT_EQ(count_of(plot, "<circle"), 60);
  EXPECT_NE(plot.find("cx=\"442.0\""), std::string::npos);  // the axis reaches to 2
}

}  // namespace
}  // namespace vit22b
