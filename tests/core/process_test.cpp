#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <set>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "support/files.h"

namespace vit22b {
namespace {

TEST(Process, HoldsOneLibgomp) {
  at::parallel_for(0, 2, 1, [](int64_t, int64_t) {});
  std::set<std::string> copies;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (const size_t slash = line.find('/');
        slash != std::string::npos && line.find("libgomp") != std::string::npos)
      copies.insert(line.substr(slash));
  EXPECT_EQ(copies.size(), 1u);
}

TEST(Process, ParallelForUsesMoreThanOneThread) {
  set_threads(2);
  std::set<int> ids;
  std::mutex mutex;
  at::parallel_for(0, 64, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    ids.insert(at::get_thread_num());
  });
  EXPECT_EQ(ids.size(), 2u);
}

TEST(Device, UnknownNamesAreRefused) {
  EXPECT_EQ(test::error_of<UsageError>([] { resolve_device("gpu"); }),
            "--device gpu: want cpu, cuda or cuda:N");
  EXPECT_EQ(test::error_of<UsageError>([] { resolve_device("cuda:x"); }),
            "--device cuda:x: want cpu, cuda or cuda:N");
}

TEST(Device, LoadedLibtorchIsThePinnedOne) {
  EXPECT_NO_THROW(check_libtorch_version());
}

}  // namespace
}  // namespace vit22b
