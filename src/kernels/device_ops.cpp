#include "kernels/device_ops.h"

#include "core/log.h"
#include "core/module.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr const char* kModule = "libvit22b_cuda.so";

std::unique_ptr<DeviceOps> load_cuda_ops() {
  using Make = DeviceOps* (*)();
  std::string reason;
  if (auto* make =
          reinterpret_cast<Make>(module_symbol(kModule, kCudaOpsSymbol, ModuleScope::kOwn, reason));
      make != nullptr)
    return std::unique_ptr<DeviceOps>(make());
  log_warn(concat("GPU kernels are not in use, libtorch's operators are: ", reason,
                  "; script/build cuda builds them where nvcc is"));
  return make_aten_ops();
}

}  // namespace

const DeviceOps& device_ops(at::Device device) {
  static const std::unique_ptr<DeviceOps> kAten = make_aten_ops();
  if (!device.is_cuda()) return *kAten;
  static const std::unique_ptr<DeviceOps> kCuda = load_cuda_ops();
  return *kCuda;
}

}  // namespace vit22b
