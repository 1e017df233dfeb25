#pragma once
#include <ATen/core/Tensor.h>

#include <initializer_list>

namespace vit22b {

/// Whether own kernels may walk these tensors as plain arrays: contiguous, on the CPU.
bool are_plain(std::initializer_list<at::Tensor> tensors);

/// Values a thread takes at a time in an update.
constexpr int64_t kUpdateGrain = 32'768;

}  // namespace vit22b
