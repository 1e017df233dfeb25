#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "kernels/activation_kind.h"

namespace vit22b {

/// The activation of a config's word: "gelu_tanh" or "gelu".
Activation parse_activation(const std::string& word);

/// ATen's approximation of a GELU: "tanh" or "none".
const char* gelu_approximation(Activation activation);

at::Tensor activate(const at::Tensor& x, Activation activation);

}  // namespace vit22b
