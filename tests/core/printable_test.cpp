#include "core/printable.h"

#include <gtest/gtest.h>

namespace vit22b {
namespace {

TEST(Printable, EscapesWhatATerminalWouldActOn) {
  EXPECT_EQ(printable("a\033[31mb\r\x7f"), "a\\x1b[31mb\\x0d\\x7f");
  EXPECT_EQ(printable("one\ntwo\t"), "one\\x0atwo\\x09");
  EXPECT_EQ(printable("one\ntwo\t", "\n\t"), "one\ntwo\t");
}

TEST(Printable, KeepsUtf8AndEscapesItsControlsAndWhatIsNone) {
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x82\xac"), "caf\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");
  EXPECT_EQ(printable("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
}

}  // namespace
}  // namespace vit22b
