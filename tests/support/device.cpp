#include "support/device.h"

#include <cstdlib>

#include "support/emulated_ops.h"

namespace vit22b::test {

at::Device device() {
  const char* name = std::getenv("VIT22B_TEST_DEVICE");
  return at::Device(name == nullptr ? "cpu" : name);
}

const DeviceOps& gpu_ops() {
  static const EmulatedOps kEmulated;
  return device().is_cpu() ? kEmulated : device_ops(device());
}

}  // namespace vit22b::test
