#include "report/block_diagram.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vit22b {
namespace {

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

const BlockDiagram kSerial = {"a model",
                              {"image", "patches"},
                              "12 blocks",
                              {{{"norm"}, {{"attention", "out"}}, {}}, {{}, {{"mlp"}}, {"scale"}}},
                              {"classes"}};

TEST(BlockDiagram, HasEachWordAndAJoinForEachPart) {
  const std::string svg = block_diagram_svg(kSerial);
  for (const char* word : {">a model<", ">image<", ">patches<", ">12 blocks<", ">norm<",
                           ">attention<", ">out<", ">mlp<", ">scale<", ">classes<"})
    EXPECT_EQ(count_of(svg, word), 1U) << word;
  EXPECT_EQ(count_of(svg, "<circle"), 2U);
  EXPECT_EQ(block_diagram_svg(kSerial), svg);
}

TEST(BlockDiagram, BranchesStandBesideEachOther) {
  const std::string svg =
      block_diagram_svg({"m", {"x"}, "b", {{{"norm"}, {{"left"}, {"right"}}, {}}}, {}});
  const auto place = [&](const std::string& word) {
    const size_t end = svg.find(">" + word + "<"), begin = svg.rfind("<text x=\"", end) + 9;
    return std::stod(svg.substr(begin));
  };
  EXPECT_GT(place("right"), place("left"));
  EXPECT_EQ(place("norm"), place("left"));
}

TEST(BlockDiagram, WordsAreEscaped) {
  const std::string svg = block_diagram_svg({"<&>", {"x"}, "b", {{{}, {{"y"}}, {}}}, {}});
  EXPECT_NE(svg.find("&lt;&amp;&gt;"), std::string::npos);
}

}  // namespace
}  // namespace vit22b
