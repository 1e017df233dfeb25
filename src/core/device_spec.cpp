#include "core/device_spec.h"

#include <algorithm>
#include <cmath>

#include "core/config.h"
#include "core/device_texts.h"
#include "core/error.h"

namespace vit22b {
namespace {

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
  v.field("gpu_names", gpu_names, "what drivers call it, separated by commas");
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

std::optional<DeviceSpec> data_sheet(const Device& device) {
  if (!device.is_cuda()) return std::nullopt;
  const std::string name = gpu_name(device);
  for (const auto& [key, text] : device_texts()) {
    DeviceSpec spec = named_device(key);
    const std::vector<std::string> names = split(spec.gpu_names, ',');
    if (std::any_of(names.begin(), names.end(),
                    [&](const std::string& known) { return trim(known) == name; }))
      return spec;
  }
  return std::nullopt;
}

}  // namespace vit22b
