#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// GELU in the tanh form ("gelu_tanh", the paper's) or the erf form ("gelu", many imported
/// checkpoints).
///
/// The two differ by at most 4.73e-4 per value, at x = -2.70.
at::Tensor gelu(const at::Tensor& x, const std::string& form);

}  // namespace vit22b
