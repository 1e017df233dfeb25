#include "support/device.h"

#include <cstdlib>

#include "core/error.h"
#include "support/emulated_ops.h"

namespace vit22b::test {

at::Device device() {
  const char* name = std::getenv("VIT22B_TEST_DEVICE");
  return at::Device(name == nullptr ? "cpu" : name);
}

const DeviceOps& gpu_ops() {
  static const EmulatedOps kEmulated;
  if (device().is_cpu()) return kEmulated;
  const DeviceOps& ops = device_ops(device());
  if (ops.name() != std::string("cuda"))
    throw InternalError("a GPU's tests without the GPU's kernels");
  return ops;
}

}  // namespace vit22b::test
