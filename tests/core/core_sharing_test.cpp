#include "core/core_sharing.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "support/files.h"

namespace vit22b {
namespace {

using namespace std::chrono_literals;

/// Threads that want twice the processors there are.
class Crowd {
 public:
  Crowd() {
    for (int64_t i = 0; i < 2 * sysconf(_SC_NPROCESSORS_ONLN); ++i)
      threads_.emplace_back([this] {
        while (!is_over_) ++turns_;
      });
  }
  ~Crowd() {
    is_over_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::atomic<int64_t> turns_{0};
  std::vector<std::thread> threads_;
};

bool has_sleeping_team() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    if (test::read_file(task.path() / "comm") == "sleepers\n") return true;
  return false;
}

/// Whether it becomes so within 20 s.
bool becomes(bool has_team) {
  for (int i = 0; i < 1000 && has_sleeping_team() != has_team; ++i)
    std::this_thread::sleep_for(20ms);
  return has_sleeping_team() == has_team;
}

class CoreSharingTest : public testing::Test {
 protected:
  void SetUp() override {
    if (seconds_waited_for_processors() < 0) GTEST_SKIP() << "the kernel does not tell who waits";
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("GOMP_SPINCOUNT");
  }
};

TEST_F(CoreSharingTest, ThreadsSleepWhileTheCoresAreSharedAndNotAfter) {
  const CoreSharing sharing(sysconf(_SC_NPROCESSORS_ONLN) + 1);
  EXPECT_FALSE(has_sleeping_team());
  {
    const Crowd crowd;
    EXPECT_TRUE(becomes(true));
  }
  EXPECT_TRUE(becomes(false));
}

TEST_F(CoreSharingTest, WhatAPersonSaysOfWaitingStays) {
  for (const char* variable : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}) {
    setenv(variable, "1", 1);
    const CoreSharing sharing(sysconf(_SC_NPROCESSORS_ONLN) + 1);
    const Crowd crowd;
    std::this_thread::sleep_for(500ms);
    EXPECT_FALSE(has_sleeping_team()) << variable;
    unsetenv(variable);
  }
}

TEST_F(CoreSharingTest, WaitingIsCountedOverAllThreads) {
  const double before = seconds_waited_for_processors();
  const Crowd crowd;
  std::this_thread::sleep_for(500ms);
  EXPECT_GT(seconds_waited_for_processors(), before + 0.1);
}

}  // namespace
}  // namespace vit22b
