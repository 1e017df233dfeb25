#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace vit22b {

/// Refuses a model's outputs that are not finite, wherever they are to be used or kept.
///
/// outputs  [B, ...] float
/// tensor   the outputs' name, for the message
/// ids      of the B images
/// throws   NumbersError naming the first image, and the tensor
void check_finite(const at::Tensor& outputs, const std::string& tensor,
                  const std::vector<std::string>& ids);

}  // namespace vit22b
