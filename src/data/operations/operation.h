#pragma once
#include <functional>
#include <vector>

#include "data/draw.h"
#include "data/geometry.h"
#include "data/sample.h"
#include "data/transform_call.h"

namespace vit22b {

/// What an operation of the mini-language does to a sample.
using Act = std::function<void(Sample& sample, const Draw& draw)>;

/// What it does to the place of pixels of pictures of a size.
using StepPlan = std::function<std::vector<GeometricStep>(PictureSize size, const Draw& draw)>;
/// Plans steps by the first of the fields that a call names, and does them to all of these (or to
/// copies, where a call names another place for the result).
///
/// throws  (when it acts) DataError for a field that is not there, is no picture, or of another
///         size
Act geometric(const TransformCall& call, StepPlan plan);

/// What it makes of an image's or of frames' pixels.
using PixelChange = std::function<at::Tensor(const at::Tensor& pixels, const Draw& draw)>;
/// Changes the pixels of each field that a call names.
///
/// throws  (when it acts) DataError for a field that is not there, or has no colours
Act on_pixels(const TransformCall& call, PixelChange change);

/// The size that arguments 0 and 1 say; a square where there is one.
PictureSize size_arguments(const TransformCall& call);

/// The operations, as transforms.h has them.
Act make_resize(const TransformCall& call);
Act make_resize_small(const TransformCall& call);
Act make_random_scale(const TransformCall& call);
Act make_resize_cover(const TransformCall& call);
Act make_resize_fit(const TransformCall& call);
Act make_resize_multiple(const TransformCall& call);
Act make_central_crop(const TransformCall& call);
Act make_crop_or_pad(const TransformCall& call);
Act make_random_crop(const TransformCall& call);
Act make_random_crop_or_pad(const TransformCall& call);
Act make_inception_crop(const TransformCall& call);
Act make_flip_lr(const TransformCall& call);
Act make_range(const TransformCall& call);
Act make_gray(const TransformCall& call);
Act make_rgb(const TransformCall& call);
Act make_random_gray(const TransformCall& call);
Act make_random_invert(const TransformCall& call);
Act make_photometric(const TransformCall& call);

}  // namespace vit22b
