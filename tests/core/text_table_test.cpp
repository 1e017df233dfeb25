#include "core/text_table.h"

#include <gtest/gtest.h>

namespace vit22b {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft, kRight = TextTable::Align::kRight;

TEST(TextTable, ColumnsAreAsWideAsTheirWidestWord) {
  TextTable table({kLeft, kRight, kLeft}, "  ");
  table.add({"a", "1", "one"});
  table.add({"long name", "12345", "x"});
  EXPECT_EQ(table.text(),
            "  a              1  one\n"
            "  long name  12345  x\n");
}

TEST(TextTable, LettersBeyondAsciiTakeOneColumn) {
  TextTable table({kLeft, kLeft});
  table.add({"caf\xc3\xa9", "|"});
  table.add({"cafe", "|"});
  EXPECT_EQ(table.text(), "caf\xc3\xa9  |\ncafe  |\n");
}

TEST(TextTable, ShortRowsEndWithoutSpaces) {
  TextTable table({kLeft, kLeft}, "  ");
  EXPECT_EQ(table.text(), "");
  table.add({});
  table.add({"a", ""});
  table.add({"bcd", "e"});
  EXPECT_EQ(table.text(), "\n  a\n  bcd  e\n");
}

}  // namespace
}  // namespace vit22b
