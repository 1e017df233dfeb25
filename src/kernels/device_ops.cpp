#include "kernels/device_ops.h"

#include <dlfcn.h>

#include "core/log.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr const char* kModule = "libvit22b_cuda.so";

std::filesystem::path program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

// Where the build puts the module, and where an installation does.
void* open_module(std::string& reason) {
  const std::filesystem::path folder = program_folder();
  for (const auto& place : {folder / kModule, folder.parent_path() / "lib" / kModule}) {
    if (!std::filesystem::exists(place)) continue;
    if (void* handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL); handle != nullptr)
      return handle;
    reason = dlerror();
  }
  if (reason.empty()) reason = concat("no ", kModule, " beside ", folder.string());
  return nullptr;
}

std::unique_ptr<DeviceOps> load_cuda_ops() {
  using Make = DeviceOps* (*)();
  std::string reason;
  if (void* handle = open_module(reason); handle != nullptr) {
    if (auto* make = reinterpret_cast<Make>(dlsym(handle, kCudaOpsSymbol)); make != nullptr)
      return std::unique_ptr<DeviceOps>(make());
    reason = concat(kModule, " is of another build than this program");
  }
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
