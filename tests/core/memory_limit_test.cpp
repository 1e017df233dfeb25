#include "core/memory_limit.h"

#include <gtest/gtest.h>

#include "core/device.h"
#include "support/files.h"

namespace vit22b {
namespace {

using test::TempFolder;
using test::write_file;

constexpr const char* kHuge = "9223372036854771712\n";  // the first version's way to say none

std::string second(const TempFolder& folder, const std::string& root = "/") {
  return "31 23 0:26 " + root + " " + folder.path().string() +
         " rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
}

TEST(MemoryLimit, IsTheLeastUpTheHierarchy) {
  const TempFolder folder;
  write_file(folder / "job/memory.max", "1000\n");
  write_file(folder / "job/step/memory.max", "3000\n");
  write_file(folder / "job/step/task/memory.max", "max\n");
  EXPECT_EQ(memory_limit_of_groups("0::/job/step/task\n", second(folder)), 1000);
  EXPECT_EQ(memory_limit_of_groups("0::/job/step\n", second(folder)), 1000);
  EXPECT_EQ(memory_limit_of_groups("0::/\n", second(folder)), std::nullopt);
}

TEST(MemoryLimit, IsOfTheFirstVersionToo) {
  const TempFolder folder;
  write_file(folder / "memory.limit_in_bytes", kHuge);
  write_file(folder / "slurm/memory.limit_in_bytes", "4096\n");
  write_file(folder / "slurm/job_7/memory.limit_in_bytes", kHuge);
  const std::string groups = "9:name=systemd:/\n4:cpu,memory:/slurm/job_7\n0::/\n",
                    mounts = "34 31 0:31 / /cpuset rw - cgroup cgroup rw,cpuset\n35 31 0:32 / " +
                             folder.path().string() + " rw,relatime - cgroup cgroup rw,memory\n";
  EXPECT_EQ(memory_limit_of_groups(groups, mounts), 4096);
}

// A container sees its own group where the system's root would be, by either name.
TEST(MemoryLimit, OfAContainerIsAtTheMountsRoot) {
  const TempFolder folder;
  write_file(folder / "memory.max", "2048\n");
  EXPECT_EQ(memory_limit_of_groups("0::/\n", second(folder)), 2048);
  EXPECT_EQ(memory_limit_of_groups("0::/docker/abc\n", second(folder, "/docker/abc")), 2048);
  EXPECT_EQ(memory_limit_of_groups("0::/../other\n", second(folder)), 2048);
}

TEST(MemoryLimit, IsNoneWithoutGroups) {
  EXPECT_EQ(memory_limit_of_groups("", ""), std::nullopt);
  EXPECT_EQ(memory_limit_of_groups("torn", "torn\n1 2"), std::nullopt);
  EXPECT_GT(host_memory_bytes(), 0);
}

}  // namespace
}  // namespace vit22b
