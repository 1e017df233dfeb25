#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "data/geometry.h"

namespace vit22b {

/// A picture's bytes, and how they are to be read.
struct EncodedPicture {
  std::span<const uint8_t> bytes;
  const std::string& id;  ///< for messages
  int64_t max_pixels;
  bool is_oriented = false;  ///< turned as its EXIF data say
};

/// How a kind of picture is decoded, and follows what an operation does to its geometry. Each kind
/// is one file and one line of the list in kinds.cpp.
///
/// values are [..., H, W, C] unless a kind says another shape
class PictureKind {
 public:
  virtual ~PictureKind() = default;
  virtual PictureSize size(const at::Tensor& value) const;
  /// throws  DataError naming the sample
  virtual at::Tensor decoded(const EncodedPicture& picture) const = 0;
  virtual at::Tensor resized(const at::Tensor& value, PictureSize size,
                             const ResizeMethod& method) const = 0;
  virtual at::Tensor padded(const at::Tensor& value, const PadStep& pad) const = 0;
  /// box  inside of the picture
  virtual at::Tensor cropped(const at::Tensor& value, const CropBox& box) const;
  virtual at::Tensor flipped(const at::Tensor& value) const;
};

/// throws  InternalError for what is no picture
const PictureKind& picture_kind(FieldKind kind);
/// Whether a field is a picture, or several.
bool is_picture(FieldKind kind);

/// A value [H, W, C] in a larger picture that has `fill`, one number or one a channel, everywhere
/// else.
at::Tensor padded_with(const at::Tensor& value, const PadStep& pad, const at::Tensor& fill);
/// The value of the pixel that each new one's middle lies in.
at::Tensor resized_to_nearest(const at::Tensor& value, PictureSize size);

/// The kinds.
const PictureKind& image_kind();
const PictureKind& mask_kind();
const PictureKind& depth_kind();
const PictureKind& frames_kind();

}  // namespace vit22b
