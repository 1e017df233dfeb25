#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "data/transform_call.h"

namespace vit22b {

/// The numbers that a transform makes of bytes: byte * scale + shift, one of each for all channels,
/// or one a channel.
struct PixelRange {
  std::vector<double> scale, shift;

  /// Equal but for rounding: value_range(-1,1) is normalize(0.5,0.5).
  bool is_near(const PixelRange& other) const;
};

/// What value_range(low,high) or normalize(means...,stddevs...) says.
///
/// throws  UsageError for missing numbers, or a standard deviation that is not above 0
PixelRange range_of(const TransformCall& call);

/// The last value_range or normalize of a transform in the mini-language, as written; "" where
/// bytes are left as they are.
std::string range_operation(const std::string& transform);

/// The range of a transform; nullopt where bytes are left as they are.
///
/// throws  as range_of
std::optional<PixelRange> pixel_range(const std::string& transform);

/// The same pixels in another range, float32.
///
/// throws  UsageError where a range has other channels than the images
at::Tensor in_range(const at::Tensor& images_BCHW, const PixelRange& from, const PixelRange& to);

}  // namespace vit22b
