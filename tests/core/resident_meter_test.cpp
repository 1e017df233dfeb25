#include "core/resident_meter.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace vit22b {
namespace {

constexpr size_t kBytes = size_t{64} << 20;

void touch_and_let_go(size_t bytes) {
  const auto memory = std::make_unique<char[]>(bytes);
  volatile char* const touched = memory.get();  // which the compiler may not leave out
  for (size_t i = 0; i < bytes; i += 4096) touched[i] = 1;
}

TEST(ResidentMeter, CountsWhatAnyThreadHadAtMost) {
  const ResidentMeter meter;
  std::thread(touch_and_let_go, kBytes).join();
  EXPECT_NEAR(static_cast<double>(meter.peak()), kBytes, kBytes / 8);
}

TEST(ResidentMeter, ForgetsWhatWasBefore) {
  touch_and_let_go(4 * kBytes);
  const ResidentMeter meter;
  touch_and_let_go(kBytes);
  EXPECT_NEAR(static_cast<double>(meter.peak()), kBytes, kBytes / 8);
}

}  // namespace
}  // namespace vit22b
