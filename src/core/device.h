#pragma once
#include <c10/core/DeviceType.h>

#include <cstdint>
#include <string>
#include <vector>

namespace vit22b {

/// Where tensors live; turned into an at::Device by the code that makes tensors.
struct Device {
  c10::DeviceType type = c10::DeviceType::CPU;
  int index = 0;
  bool is_cpu() const { return type == c10::DeviceType::CPU; }
  bool is_cuda() const { return type == c10::DeviceType::CUDA; }
  /// "cpu", "cuda:0"
  std::string name() const;
};

/// Reads "cpu", "cuda" or "cuda:N" and loads libtorch_cuda.so where it is asked for.
///
/// Must run before any other call into ATen: libtorch keeps its first answer to "is there CUDA" for
/// ever. Once resolved, a second call gives the same device. throws  UsageError naming the missing
/// wheels, or the devices there are
Device resolve_device(const std::string& text);

/// What the driver calls a GPU, such as "NVIDIA H200"; "" for a CPU, or where it says nothing.
std::string gpu_name(const Device& device);

/// Sets the threads of libtorch's CPU operators; 0 takes what libtorch chose. Returns the number in
/// use.
///
/// throws  UsageError for fewer than 0, or more than four a processor
int64_t set_threads(int64_t count);

/// What `vit22b env` prints: name and value pairs about libtorch, CPU, threads, GPU and paths.
std::vector<std::pair<std::string, std::string>> environment_report(const Device& device);

/// The highest resident set of this process, in bytes; on a GPU the allocator's highest reserved.
int64_t peak_memory_bytes(const Device& device);

/// The resident set of this process now.
int64_t resident_bytes();

/// The memory that this process may use: this machine's, or less where its control groups say so.
int64_t host_memory_bytes();

/// This program's version.
const char* program_version();

/// Checks that the libtorch that was loaded is the one this program was built for.
///
/// throws  UsageError naming both versions
void check_libtorch_version();

}  // namespace vit22b
