#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Depths as colours: near ones red, far ones blue, over a bar of the range with a mark at each
/// tenth of it; what has no depth is black.
///
/// depth_HW     float32, metres; 0 or no number where there is none
/// nearest, farthest  of the range, metres; what is beyond has its end's colour
/// returns      uint8 [H + bar, W, 3]
at::Tensor depth_picture(const at::Tensor& depth_HW, double nearest, double farthest);

}  // namespace vit22b
