#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// Depths as colours: near ones red, far ones blue, over a bar of the range with a mark at each
/// tenth of it; what has no depth is black.
///
/// depth_HW     float32, metres, 0 or no number where there is none; or relative, larger is nearer
/// nearest, farthest  of the range; what is beyond has its end's colour. Of relative depths the
///              nearest is the larger one, and 0 is a depth
/// returns      uint8 [H + bar, W, 3]
at::Tensor depth_picture(const at::Tensor& depth_HW, double nearest, double farthest);

/// A picture's points in space as a PLY file, binary, little-endian: x to the right, y down, z
/// forward, float32 metres, and red, green, blue; of a pinhole camera whose axis passes the
/// picture's centre. Pixels without a depth have no point.
///
/// depth_HW     float32, metres along the axis
/// picture_HWC  uint8 [H, W, 3]
/// focal_px     the focal length in pixels
std::string point_cloud(const at::Tensor& depth_HW, const at::Tensor& picture_HWC, double focal_px);

}  // namespace vit22b
