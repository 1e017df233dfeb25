#pragma once
#include <ATen/core/Tensor.h>

#include <variant>
#include <vector>

#include "data/field.h"
#include "data/transform_call.h"

namespace vit22b {

/// A rectangle in pixels.
struct CropBox {
  int64_t top, left, height, width;
};

/// The size of a picture, in pixels.
struct PictureSize {
  int64_t height, width;
  bool operator==(const PictureSize&) const = default;
};

/// Another size for the whole picture.
struct ResizeStep {
  PictureSize size;
  ResizeMethod method;  ///< of images; numbers that are no colours take the nearest
};

/// The picture at a place in a larger one.
struct PadStep {
  PictureSize size;
  int64_t top, left;
  std::vector<double> fill;  ///< of images: one value, or one a channel, 0 to 255; none for 0
};

/// Left becomes right.
struct FlipStep {};

/// What an operation does to the place of pixels, with every random number drawn.
using GeometricStep = std::variant<CropBox, ResizeStep, PadStep, FlipStep>;

/// Does a step to a picture of any kind, and keeps where its pixels come from.
///
/// throws  DataError where a crop leaves the picture, a picture would become too large, or colours
///         that fill it are not one, or one a channel
void apply_step(Field& field, const GeometricStep& step);

/// The size of a decoded picture.
PictureSize picture_size(const Field& field);

/// A map of a field's pixels as one of the picture that was decoded: each of its pixels has the
/// value of the one that its middle lies in, and `outside` where the field does not reach.
///
/// map  [h, w, ...] of any type, h and w the field's
/// returns  [H, W, ...]
at::Tensor put_back(const at::Tensor& map, const Geometry& geometry, const at::Scalar& outside);

}  // namespace vit22b
