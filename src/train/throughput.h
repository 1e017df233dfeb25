#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "core/device.h"

namespace vit22b {

/// The best GEMM rate of this machine at a precision, in FLOP/s: the data sheet's dense rate of a
/// GPU that configs/devices lists, else measured on random data (a second; on a CPU the better of
/// ATen's products and ours).
double peak_flops(const Device& device, const std::string& precision);

/// Speed since the last reading.
struct Speed {
  double images_per_second = 0;
  double data_share = 0;  ///< part of the time spent waiting for data
  double flops = 0;       ///< model FLOP/s, recomputation not counted
  double mfu = 0;
};

/// Counts images, seconds and waiting.
class Throughput {
 public:
  Throughput(double flops_of_sample, double peak);
  void add(int64_t images, double seconds, double waited_seconds);
  /// The speed since the last call.
  Speed take();

 private:
  double flops_of_sample_, peak_;
  double images_ = 0, seconds_ = 0, waited_ = 0;
};

}  // namespace vit22b
