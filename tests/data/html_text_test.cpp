#include "data/tokenizers/html_text.h"

#include <gtest/gtest.h>

#include "data/delimited.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

struct Text {
  const char* in;
  const char* unescaped;  ///< Python 3.11's html.unescape
  const char* cleaned;    ///< open_clip 3.3's whitespace_clean(basic_clean), with ftfy 6.3
};

const std::vector<Text> kTexts = {
    {"cats &amp; dogs", "cats & dogs", "cats & dogs"},
    {"&amp;amp;", "&amp;", "&"},
    {"&eacute;&EACUTE;&SZLIG;", "\u00e9&EACUTE;&SZLIG;", "\u00e9\u00c9SS"},
    {"a&notb; c&notin d", "a\u00acb; c\u00acin d", "a\u00acb; c\u00acin d"},
    {"&#x80;&#133;&#0;&#xD800;&#x110000;&#1;&#xFFFE;|", "\u20ac\u2026\ufffd\ufffd\ufffd|",
     "\u20ac\u2026\ufffd\ufffd\ufffd|"},
    {"&;&#;&#x;&#xg;&ampersand", "&;&#;&#x;&#xg;&ersand", "&;&#;&#x;&#xg;&ersand"},
    {"&#38;#38;lt;", "&#38;lt;", "<"},
    {"<i>&amp;amp;eacute;", "<i>&amp;eacute;", "<i>&eacute;"},
    {"plain &amp;amp;amp;lt;\n<i>&amp;amp;amp;lt;", "plain &amp;amp;lt;\n<i>&amp;amp;lt;",
     "plain < <i>&amp;lt;"},
    {"\xc2\x93quoted\xc2\x94\xc2\x85", "\xc2\x93quoted\xc2\x94\xc2\x85", "\"quoted\"\u2026"},
    {"\033[31mred\033[0m", "\033[31mred\033[0m", "red"},
    {"\uff06amp;", "\uff06amp;", "&"},
    {"&CounterClockwiseContourIntegral;&NotEqualTilde;", "\u2233\u2242\u0338",
     "\u2233\u2242\u0338"},
    {"&#99999999999999999999;", "\ufffd", "\ufffd"},
    {"&", "&", "&"}};

TEST(HtmlText, IsUndoneAsPythonsHtmlUnescapeDoesIt) {
  for (const Text& text : kTexts) EXPECT_EQ(html_unescaped(text.in), text.unescaped) << text.in;
}

TEST(HtmlText, OfCaptionsIsCleanedAsOpenClipDoesIt) {
  for (const Text& text : kTexts)
    EXPECT_EQ(single_spaced(clean_caption(text.in)), text.cleaned) << text.in;
}

// Texts that took minutes: fuzzing found both.
TEST(HtmlText, EscapedManyTimesIsCleanedInReasonableTime) {
  std::string escaped = "&", marks = "a";
  for (int i = 0; i < 20'000; ++i) escaped += "amp;";
  for (int i = 0; i < 20'000; ++i) marks += "\u0300\u0316";
  EXPECT_LT(clean_caption(escaped).size(), escaped.size());
  EXPECT_GT(clean_caption(marks).size(), marks.size() / 2);
}

TEST(HtmlText, HasEveryNameInOrder) {
  EXPECT_EQ(kNumHtmlNames, 2231U);
  for (size_t i = 1; i < kNumHtmlNames; ++i)
    EXPECT_LT(std::string(kHtmlNames[i - 1].name), kHtmlNames[i].name);
}

TEST(Lines, AreReadWithoutAMarkAndWhiteSpace) {
  EXPECT_EQ(lines_of("\xEF\xBB\xBFred\r\n\n green \n"), (std::vector<std::string>{"red", "green"}));
  EXPECT_TRUE(lines_of("\xEF\xBB\xBF").empty());
}

}  // namespace
}  // namespace vit22b
