#include "plan/device_spec.h"

#include "core/alternation.h"
#include "core/config.h"
#include "core/device.h"
#include "core/error.h"
#include "plan/device_texts.h"
#include "plan/disk_rate.h"
#include "plan/request.h"
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

void check(const DeviceSpec& spec) {
  for (const double rate :
       {spec.memory_bytes, spec.host_memory_bytes, spec.bf16_flops, spec.fp32_flops,
        spec.product_share, spec.attention_share, spec.memory_bytes_per_second,
        spec.host_bytes_per_second, spec.link_bytes_per_second, spec.network_bytes_per_second,
        static_cast<double>(spec.devices_a_host)})
    if (!(rate > 0) || !std::isfinite(rate))
      throw UsageError("device ", spec.name, ": every size, rate and share is to be positive");
  if (!(spec.disk_bytes_per_second >= 0) || !std::isfinite(spec.disk_bytes_per_second))
    throw UsageError("device ", spec.name, ": disk_bytes_per_second is a rate, or 0 for unknown");
  if (spec.product_share > 1 || spec.attention_share > 1)
    throw UsageError("device ", spec.name, ": product_share and attention_share are parts of 1");
}

}  // namespace

void DeviceSpec::fields(FieldVisitor& v) {
  v.field("memory_bytes", memory_bytes, "memory of the device");
  v.field("host_memory_bytes", host_memory_bytes, "memory of the host, for each device");
  v.field("bf16_flops", bf16_flops, "dense peak in bf16, FLOP a second");
  v.field("fp32_flops", fp32_flops, "peak in fp32");
  v.field("product_share", product_share, "of the peak, that large products reach");
  v.field("attention_share", attention_share, "of the peak, that attention reaches");
  v.field("memory_bytes_per_second", memory_bytes_per_second, "what a copy reaches");
  v.field("host_bytes_per_second", host_bytes_per_second, "each way, to the host's memory");
  v.field("disk_bytes_per_second", disk_bytes_per_second,
          "large reads of the host's disk; 0: not known");
  v.field("link_bytes_per_second", link_bytes_per_second, "each way, inside a host");
  v.field("network_bytes_per_second", network_bytes_per_second, "each way, between hosts");
  v.field("devices_a_host", devices_a_host, "devices that share a host");
}

std::vector<std::string> device_names() {
  std::vector<std::string> names = {kThisDevice};
  for (const auto& [name, text] : device_texts()) names.push_back(name);
  return names;
}

DeviceSpec named_device(const std::string& name) {
  DeviceSpec spec;
  spec.name = name;
  ConfigTree tree;
  if (const auto it = device_texts().find(name); it != device_texts().end())
    tree = read_config_text(it->second, "configs/devices/" + name + ".toml");
  else if (name.ends_with(".toml"))
    tree = read_config_file(name);
  else
    throw UsageError("device '", name, "' is not known", did_you_mean(name, device_names()),
                     "; there are ", join(device_names(), ", "), ", or give a TOML file");
  apply_config(tree, [&](FieldVisitor& v) { spec.fields(v); });
  check(spec);
  return spec;
}

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
