#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "kernels/activation_kind.h"

namespace vit22b {

/// The activation of a config's word: "gelu_tanh", "gelu", "quick_gelu" or "silu".
Activation parse_activation(const std::string& word);

at::Tensor activate(const at::Tensor& x, Activation activation);
/// The gradient of x from that of activate(x), one dtype.
at::Tensor activate_backward(const at::Tensor& gradient, const at::Tensor& x,
                             Activation activation);

}  // namespace vit22b
