#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/fields.h"

namespace vit22b {

/// The name of the machine that a program runs on.
constexpr const char* kThisDevice = "this";

/// What a roofline needs to know of one device and of its place among others; bytes and FLOP a
/// second.
struct DeviceSpec {
  std::string name;
  /// What drivers call it, one of several separated by commas; "" for what no driver names.
  std::string gpu_names;
  bool is_cpu = false;  ///< its memory is the host's
  double memory_bytes = 0;
  double host_memory_bytes = 0;  ///< of the host, for each device
  double bf16_flops = 0, fp32_flops = 0;
  double product_share = 0.75;    ///< of the peak, that large products reach
  double attention_share = 0.25;  ///< of the peak, that attention reaches
  double memory_bytes_per_second = 0;
  double host_bytes_per_second = 0;     ///< each way, to the host's memory
  double disk_bytes_per_second = 0;     ///< large reads; 0 where it is not known
  double link_bytes_per_second = 0;     ///< each way, to devices of the same host
  double network_bytes_per_second = 0;  ///< each way, to other hosts, for each device
  int64_t devices_a_host = 1;

  void fields(FieldVisitor& visitor);
  double peak_flops(const std::string& precision) const {
    return precision == "fp32" ? fp32_flops : bf16_flops;
  }
};

/// The devices of configs/devices, and "this".
std::vector<std::string> device_names();

/// A device by name, or from a TOML file of the same keys.
///
/// throws  UsageError naming the nearest device, an unknown key, or a rate that is not positive
DeviceSpec named_device(const std::string& name);

/// The entry of configs/devices that lists a GPU's name; none for a CPU, or a GPU that has none.
std::optional<DeviceSpec> data_sheet(const Device& device);

}  // namespace vit22b
