#include "plan/measured_device.h"

#include "core/alternation.h"
#include "plan/disk_rate.h"
#include "train/throughput.h"

namespace vit22b {
namespace {

// Copies of random numbers that no cache holds.
double copy_rate() {
  constexpr int64_t kElements = 64 << 20;  // 256 MiB
  constexpr int kTries = 4;
  const at::Tensor from = at::rand({kElements});
  at::Tensor to = at::zeros_like(from);
  double best = 0;
  for (int i = 0; i < kTries; ++i)
    best = std::max(best,
                    2.0 * static_cast<double>(from.nbytes()) / seconds_of([&] { to.copy_(from); }));
  return best;
}

}  // namespace

DeviceSpec measured_device(const std::string& precision, bool is_disk_wanted) {
  const double rate = peak_flops(Device{}, precision), copies = copy_rate();
  DeviceSpec spec;
  spec.name = kThisDevice;
  spec.is_cpu = true;
  spec.memory_bytes = spec.host_memory_bytes = static_cast<double>(host_memory_bytes());
  spec.bf16_flops = spec.fp32_flops = rate;
  // Assumptions: they count with --reckon, in advice and in a search, not where parts are run.
  spec.product_share = 0.95;
  spec.attention_share = 0.5;
  spec.memory_bytes_per_second = copies;
  spec.host_bytes_per_second = copies / 2;
  if (is_disk_wanted) spec.disk_bytes_per_second = disk_read_rate(".");
  // Ranks of one host meet in its memory, each byte read and written.
  spec.link_bytes_per_second = spec.network_bytes_per_second = copies / 2;
  return spec;
}

}  // namespace vit22b
