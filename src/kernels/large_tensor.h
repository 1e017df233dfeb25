#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// An uninitialised tensor whose memory, where it is large (256 MiB), is the system's own and goes
/// back to it at once: in a heap that keeps what it has, gradients of several units would lie side
/// by side. Smaller tensors, and those of other devices, are ATen's.
at::Tensor empty_large(at::IntArrayRef shape, const at::TensorOptions& options);

}  // namespace vit22b
