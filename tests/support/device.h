#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/device_ops.h"

namespace vit22b::test {

/// Where the tests of the GPU's kernels keep their tensors: the CPU, with the kernels emulated, or
/// the device that VIT22B_TEST_DEVICE names (ctest's gpu_kernels and gpu_model).
at::Device device();

/// The GPU's operations for tensors there.
const DeviceOps& gpu_ops();

}  // namespace vit22b::test
