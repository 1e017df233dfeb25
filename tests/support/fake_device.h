#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit22b::test {

/// A device that the CPU plays: libtorch's PrivateUse1, two of them, whose tensors lie in host
/// memory. As a GPU does, it refuses an operation on tensors of different places (but for a number
/// of the host's without dims), and a pointer of one is no pointer of the other. Linking it makes
/// the device known; nothing else is needed.
inline at::Device fake_device(int index = 0) {
  return {at::kPrivateUse1, static_cast<c10::DeviceIndex>(index)};
}

/// The same memory as the host sees it, which no GPU offers: for what plays a GPU's library.
at::Tensor host_view(const at::Tensor& tensor);

/// How often the host has waited for a fake device since the program began: numbers and tensors
/// read back, and tensors sent.
int64_t fake_device_waits();

}  // namespace vit22b::test
