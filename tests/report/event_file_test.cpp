#include "report/event_file.h"

#include <gtest/gtest.h>

#include "core/checksum.h"
#include "support/files.h"

namespace vit22b {
namespace {

TEST(EventFile, HasTheBytesOfTensorBoardsOwnWriter) {
  const std::string row =
      R"({"step":300,"training_loss":2.75,"lr":0.0003,"attention_entropy":[0.5,1.25],"mfu":null})";
  EXPECT_EQ(first_event(1'700'000'000) + scalar_event(row, 1'700'000'012.5),
            test::read_file(test::source_path("tests/oracle/events.tfevents")));
}

TEST(EventFile, ARowThatIsNoneGivesNothing) {
  EXPECT_EQ(scalar_event("", 0), "");
  EXPECT_EQ(scalar_event(R"({"step":3,"training_lo)", 0), "");
  EXPECT_EQ(scalar_event(R"({"training_loss":3})", 0), "");
  EXPECT_EQ(scalar_event(R"({"step":3,"name":"x"})", 0), "");
}

// The check value of the CRC catalogue.
TEST(Crc32c, MatchesTheCatalogue) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
}

}  // namespace
}  // namespace vit22b
