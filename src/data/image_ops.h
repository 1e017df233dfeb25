#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "data/geometry.h"

namespace vit22b {

/// The arithmetic of transforms on one image, [H, W, C] uint8 or float32; what changes pixels alone
/// takes frames [F, H, W, C] too.

/// Antialiased resize. ATen's bilinear and bicubic are PIL's on uint8 within one level; PIL's own
/// are equal, and for uint8 alone.
at::Tensor resize_image(const at::Tensor& image_HWC, int64_t height, int64_t width,
                        const ResizeMethod& method);

/// A random box of area_min to area_max of the image with aspect 3/4 to 4/3, or the whole image
/// after 10 tries.
///
/// uniform  gives the k-th uniform number; k < 40
/// source   big_vision pp/ops_image.py inception_crop (tf.image.sample_distorted_bounding_box)
CropBox inception_box(int64_t height, int64_t width, double area_min, double area_max,
                      const std::function<float(uint64_t)>& uniform);

/// pixel * scale + shift as float32, one scale and shift or one a channel.
at::Tensor scale_pixels(const at::Tensor& image_HWC, const std::vector<double>& scale,
                        const std::vector<double>& shift);

/// One channel by ITU-R 601 luma, for uint8 as PIL's convert("L"); grey images stay.
at::Tensor to_gray(const at::Tensor& image_HWC);

/// 255 - pixel; uint8 alone.
///
/// throws  DataError for other pixels
at::Tensor invert_pixels(const at::Tensor& image_HWC);

/// Another light: brightness by up to 32 levels, contrast and saturation by factors of 0.5 to 1.5,
/// hue by up to 36 degrees, each in half of the pictures; uint8 alone, of three channels. Grey
/// pictures get the first two.
///
/// uniform  gives the k-th uniform number; k < 10
/// source   mmsegmentation datasets/transforms PhotoMetricDistortion; hue in real numbers, not in
///          OpenCV's steps of 2 degrees
/// throws   DataError for other pixels
at::Tensor with_other_light(const at::Tensor& image_HWC,
                            const std::function<float(uint64_t)>& uniform);

/// Three channels; grey is repeated.
at::Tensor to_rgb(const at::Tensor& image_HWC);

}  // namespace vit22b
