#pragma once
#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <string>

namespace vit22b {

/// One dimension of a wanted shape: a letter, and its size where it is fixed.
struct WantedDim {
  const char* letter;
  int64_t size = -1;
};

/// Checks a tensor's shape at the door of a public function.
///
/// throws  UsageError such as "MapHead: tokens has shape [2, 256, 767], want [B, T, D=768]"
void check_shape(const char* where, const char* name, const at::Tensor& tensor,
                 std::initializer_list<WantedDim> wanted);

/// A shape as text: "[2, 3]".
std::string shape_text(at::IntArrayRef shape);

}  // namespace vit22b
