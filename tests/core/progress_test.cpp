#include "core/progress.h"

#include <gtest/gtest.h>

namespace vit22b {
namespace {

using std::chrono::seconds;

/// What updates at these seconds write where stderr is no terminal; ten are done a second.
std::string written(std::initializer_list<int> at, bool is_quiet = false) {
  std::chrono::steady_clock::time_point now;
  testing::internal::CaptureStderr();
  Progress progress("eval", 1000, is_quiet, [&] { return now; });
  for (const int second : at) {
    now = std::chrono::steady_clock::time_point(seconds(second));
    progress.update(second * 10, second == 31 ? "2 GB/s" : "");
  }
  return testing::internal::GetCapturedStderr();
}

TEST(Progress, ARunOfHalfAMinuteWritesNothingWithoutATerminal) {
  EXPECT_EQ(written({1, 10, 29}), "");
}

TEST(Progress, ALongerOneWritesALineEachHalfMinuteWithoutATerminal) {
  EXPECT_EQ(written({1, 31, 32, 60, 61, 100}),
            "eval 310/1000  10/s  eta 0:01:09  2 GB/s\neval 610/1000  10/s  eta 0:00:39\n");
}

TEST(Progress, QuietWritesNothing) {
  EXPECT_EQ(written({31, 62, 93}, /*is_quiet=*/true), "");
}

}  // namespace
}  // namespace vit22b
