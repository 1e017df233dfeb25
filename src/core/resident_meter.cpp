#include "core/resident_meter.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "core/device.h"

namespace vit22b {
namespace {

// VmHWM, which proc(5) lets a process set back; getrusage's peak is of its whole life.
int64_t peak_since_restart() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key; std::getline(status, key)) {
    int64_t kibibytes = 0;
    if (key == "VmHWM:" && status >> kibibytes) return kibibytes << 10;
  }
  return 0;
}

}  // namespace

ResidentMeter::ResidentMeter() {
  malloc_trim(0);  // what is free and still there would not count when it is taken again
  constexpr const char* kRestart = "5";
  if (std::ofstream("/proc/self/clear_refs") << kRestart << std::flush) before_ = resident_bytes();
}

int64_t ResidentMeter::peak() const {
  return before_ == 0 ? 0 : std::max<int64_t>(0, peak_since_restart() - before_);
}

}  // namespace vit22b
