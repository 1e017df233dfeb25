#include "report/record_table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/text.h"
#include "report/html.h"
#include "support/files.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

std::string page_of(const std::string& json) {
  const test::TempFolder folder;
  test::write_file(folder / "config.resolved.toml", "seed = 3\n");
  test::write_file(folder / "results/unheard-of.json", json);
  return report_html(read_run(folder.path()));
}

TEST(RecordTable, OfAnEvaluatorThatNobodyKnowsIsShown) {
  const std::string page = page_of(
      R"({"recall":0.5,"boxes":[{"kind":"car","count":12345678,"share":0.25,"found":true},
          {"kind":null,"count":2,"iou":0.123456}],"per_class":{"10":[{"label":"a"}]}})");
  EXPECT_NE(page.find("<h3>boxes</h3><div class=\"wide\"><table><tr><th class=\"key\">kind</th>"
                      "<th>count</th><th>share</th><th class=\"key\">found</th>"
                      "<th class=\"key\">iou</th></tr>"
                      "<tr><td class=\"key\">car</td><td>12345678</td><td>0.25</td>"
                      "<td class=\"key\">true</td><td class=\"key\"></td></tr>"
                      "<tr><td class=\"key\"></td><td>2</td><td class=\"key\"></td>"
                      "<td class=\"key\"></td><td>0.1235</td></tr></table></div>"),
            std::string::npos);
  EXPECT_NE(page.find("<h3>per_class.10</h3>"), std::string::npos);
}

TEST(RecordTable, HostileNamesAndTextsAreEscapedAndCut) {
  const std::string page = page_of(
      R"({"</table><script>1":[{"<img src=x onerror=alert(1)>":"\"><script>alert(2)</script>"}],
          "a":{"<svg onload=b>":[{"x":"<i>)" +
      std::string(10'000, 'y') + R"("}]}})");
  for (const char* tag : {"<script", "<img", "<svg onload", "<i>"})
    EXPECT_EQ(page.find(tag), std::string::npos) << tag;
  EXPECT_NE(page.find("<h3>&lt;/table&gt;&lt;script&gt;1</h3>"), std::string::npos);
  EXPECT_NE(page.find("&quot;&gt;&lt;script&gt;alert(2)&lt;/script&gt;</td>"), std::string::npos);
  EXPECT_NE(page.find("<h3>a.&lt;svg onload=b&gt;</h3>"), std::string::npos);
  EXPECT_EQ(page.find(std::string(200, 'y')), std::string::npos);
}

TEST(RecordTable, OfManyRowsAndColumnsShowsTheFirst) {
  Json rows = Json::array();
  for (int i = 0; i < 61; ++i) {
    Json& row = rows.emplace_back();
    for (int column = 0; column < 70; ++column) row[concat("c", column)] = i;
  }
  const std::vector<RecordTable> tables = read_record_tables({{"t", rows}});
  ASSERT_EQ(tables.size(), 1U);
  EXPECT_EQ(tables[0].rows.size(), 50U);
  EXPECT_EQ(tables[0].columns.size(), 50U);
  const std::string html = record_table(tables[0]);
  EXPECT_NE(html.find("<td>49</td>"), std::string::npos);
  EXPECT_EQ(html.find("<td>50</td>"), std::string::npos);
  EXPECT_TRUE(html.ends_with("<p class=\"hint\">… 11 more</p>"));
}

TEST(RecordTable, WhatIsNoListOfFlatRecordsOrIsShownOtherwiseIsNone) {
  const Json result = Json::parse(
      R"({"list":[1,2],"empty":[],"mixed":[{"a":1},2],"deep":[{"a":[1]}],"blank":[{}],
          "far":{"b":{"c":[{"x":1}]}},"bad_samples":[{"id":"i","reason":"r"}],
          "confusion":{"most_confused":[{"label":0,"prediction":1,"count":1}]},
          "calibration":[{"count":0,"accuracy":0,"confidence":0}]})");
  EXPECT_TRUE(read_record_tables(result).empty());
  EXPECT_TRUE(read_record_tables(Json::array({1, 2})).empty());
}

}  // namespace
}  // namespace vit22b
