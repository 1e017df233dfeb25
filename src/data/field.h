#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace vit22b {

/// What a field of a sample is; what is done to a sample's geometry is done to each by its kind.
enum class FieldKind {
  kImage,   ///< [H, W, C] uint8, or float32 once its range is another
  kMask,    ///< [H, W, 1] int32, the number of a class a pixel, -1 for none
  kDepth,   ///< [H, W, 1] float32, 0 where nothing was measured; the unit is its source's
  kFrames,  ///< [F, H, W, C], images of one size
  kText,    ///< [T] int64
  kVector,  ///< any numbers that have no place in a picture
};

/// Where a field's pixels lie in the picture that was decoded. A place that is y pixels below the
/// field's upper edge is scale_y * y + offset_y below the picture's; a negative scale is a flip.
struct Geometry {
  int64_t source_height = 0, source_width = 0;
  double scale_y = 1, offset_y = 0, scale_x = 1, offset_x = 0;
};

/// A field of a sample: a file's bytes until it is decoded, then numbers.
struct Field {
  FieldKind kind = FieldKind::kImage;
  at::Tensor value = {};
  std::vector<uint8_t> encoded = {};  ///< empty once decoded
  Geometry geometry = {};             ///< of pictures

  bool is_decoded() const { return value.defined(); }
};

}  // namespace vit22b
