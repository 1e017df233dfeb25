#include "core/device.h"

#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <sys/resource.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/memory_limit.h"

namespace vit22b {
namespace {

// What libtorch_cuda.so of the pinned wheel needs beyond the two companions that the CPU needs.
constexpr const char* kCudaWheels =
    "nvidia-cublas nvidia-cufft nvidia-curand nvidia-cusolver nvidia-cusparse "
    "nvidia-cusparselt-cu13 "
    "nvidia-cudnn-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13 nvidia-cufile nvidia-nvjitlink";

std::string library_folder() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&at::get_num_threads), &info);
  return info.dli_fname == nullptr ? ""
                                   : std::filesystem::path(info.dli_fname).parent_path().string();
}

int parse_index(const std::string& text) {
  if (text == "cuda") return 0;
  const std::string digits = text.substr(5);
  if (digits.empty() || digits.size() > 3 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    throw UsageError("--device ", text, ": want cpu, cuda or cuda:N");
  return std::stoi(digits);
}

void load_cuda(const std::string& text) {
  const std::string library = library_folder() + "/libtorch_cuda.so";
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    const std::string reason = dlerror();
    throw UsageError("--device ", text, ": ", reason,
                     "; install the CUDA wheels that match libtorch ", TORCH_VERSION,
                     " beside it (", kCudaWheels, ") or use --device cpu");
  }
}

std::string cpu_features() {
  std::vector<std::string> names;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) names.emplace_back("avx2");
  if (__builtin_cpu_supports("fma")) names.emplace_back("fma");
  if (__builtin_cpu_supports("avx512f")) names.emplace_back("avx512f");
  if (__builtin_cpu_supports("avx512vnni")) names.emplace_back("avx512vnni");
#endif
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (!line.starts_with("flags")) continue;
    for (const char* flag : {"avx512_bf16", "amx_bf16"})
      if (line.find(flag) != std::string::npos) names.emplace_back(flag);
    break;
  }
  return join(names, " ");
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line))
    if (line.starts_with("model name")) return trim(line.substr(line.find(':') + 1));
  return "unknown";
}

}  // namespace

std::string Device::name() const {
  const std::string kind = c10::DeviceTypeName(type, /*lower_case=*/true);
  return is_cpu() ? kind : kind + ":" + std::to_string(index);
}

Device resolve_device(const std::string& text) {
  if (text == "cpu") return {};
  if (text != "cuda" && !text.starts_with("cuda:"))
    throw UsageError("--device ", text, ": want cpu, cuda or cuda:N");
  const Device device{c10::DeviceType::CUDA, parse_index(text)};
  load_cuda(text);
  // libtorch counts devices in a signed char. NOLINTNEXTLINE(bugprone-signed-char-misuse)
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (device.index >= count)
    throw UsageError("--device ", text, ": this machine has ", count,
                     count == 1 ? " usable GPU" : " usable GPUs", "; use ",
                     count > 0 ? "cuda:0 or " : "", "cpu");
  // Whatever names no device means the chosen one.
  c10::impl::VirtualGuardImpl(c10::kCUDA)
      .setDevice({c10::kCUDA, static_cast<c10::DeviceIndex>(device.index)});
  return device;
}

std::string gpu_name(const Device& device) {
  if (!device.is_cuda()) return "";
  // libtorch tells a device's name only to who compiles against CUDA; the driver does to all.
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) return "";
  using Name = int (*)(char*, int, int);
  using Get = int (*)(int*, int);
  auto* name = reinterpret_cast<Name>(dlsym(driver, "cuDeviceGetName"));
  auto* get = reinterpret_cast<Get>(dlsym(driver, "cuDeviceGet"));
  char text[256] = {};
  int handle = 0;
  if (name == nullptr || get == nullptr || get(&handle, device.index) != 0 ||
      name(text, sizeof text, handle) != 0)
    return "";
  return text;
}

int64_t set_threads(int64_t count) {
  // More only wait for each other; as many as a slip of a finger asks for stop the machine.
  constexpr int64_t kMostOfAProcessor = 4;
  const int64_t most = kMostOfAProcessor * sysconf(_SC_NPROCESSORS_ONLN);
  if (count < 0 || count > most)
    throw UsageError("--threads ", count, ": want 1 to ", most, ", or 0 for libtorch's choice");
  if (count > 0) at::set_num_threads(static_cast<int>(count));
  return at::get_num_threads();
}

std::vector<std::pair<std::string, std::string>> environment_report(const Device& device) {
  char executable[4096] = {};
  const ssize_t length = ::readlink("/proc/self/exe", executable, sizeof executable - 1);
  std::string gpu = "not loaded (--device cuda loads it)";
  if (device.is_cuda())
    gpu = concat(at::detail::getCUDAHooks().deviceCount(), " CUDA device(s), using ", device.name(),
                 ", ", gpu_name(device));
  return {
      {"vit22b", program_version()},
      {"libtorch", TORCH_VERSION},
      {"libtorch_path", library_folder()},
      {"executable", std::string(executable, static_cast<size_t>(std::max<ssize_t>(0, length)))},
      {"cpu", cpu_name()},
      {"cpu_features", cpu_features()},
      {"aten_cpu_capability", at::get_cpu_capability()},
      {"threads", std::to_string(at::get_num_threads())},
      {"device", device.name()},
      {"gpu", gpu}};
}

int64_t peak_memory_bytes(const Device& device) {
  if (device.is_cuda()) {
    auto* allocator = at::getDeviceAllocator(at::kCUDA);
    return static_cast<int64_t>(
        allocator->getDeviceStats(static_cast<c10::DeviceIndex>(device.index))
            .reserved_bytes[0]
            .peak);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;  // kilobytes on Linux
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t host_memory_bytes() {
  const auto text_of = [](const char* path) {
    std::ifstream in(path);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  const int64_t machine = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  const auto limit =
      memory_limit_of_groups(text_of("/proc/self/cgroup"), text_of("/proc/self/mountinfo"));
  return std::min(machine, limit.value_or(machine));
}

const char* program_version() {
  return "0.1.0";
}

void check_libtorch_version() {
  const std::string wanted = concat("TORCH_VERSION=", TORCH_VERSION);
  const std::string built = at::show_config();
  const size_t at = built.find("TORCH_VERSION=");
  if (at == std::string::npos || built.compare(at, wanted.size(), wanted) == 0) return;
  throw UsageError("built for libtorch ", TORCH_VERSION, ", but ", library_folder(), " holds ",
                   built.substr(at, built.find(',', at) - at),
                   "; run script/setup and script/build again");
}

}  // namespace vit22b
