#include "dist/rendezvous.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

TEST(StoreRendezvous, GivesEveryRankWhatTheFirstMakes) {
  // A port that the system gives away is free for a moment.
  ::setenv("MASTER_ADDR", "127.0.0.1", 1);
  ::setenv("MASTER_PORT", "0", 1);
  const StoreRendezvous store(0, 1, 20);
  EXPECT_EQ(store.share("id", true, [] { return std::string("made"); }), "made");
  EXPECT_EQ(store.share("id", false, [] { return std::string("not asked"); }), "made");
  ::unsetenv("MASTER_ADDR");
  ::unsetenv("MASTER_PORT");
  EXPECT_EQ(test::error_of<UsageError>([] { StoreRendezvous(0, 1, 1); }),
            "MASTER_ADDR and MASTER_PORT are not set; torchrun sets them");
}

}  // namespace
}  // namespace vit22b
