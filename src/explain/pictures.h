#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace vit22b {

/// A map of patches as a picture of an image's size, each patch a square: [h, w] or [h, w, 3] with
/// values from 0 to 1 → uint8 [H, W, 3]; one value a patch is drawn in viridis.
at::Tensor patch_picture(const at::Tensor& map, int64_t height, int64_t width);

/// An image in grey under a map: `strength` of 0 shows the image alone, 1 the map.
///
/// image_CHW  float; its lowest and highest value are drawn as black and white
at::Tensor overlay(const at::Tensor& image_CHW, const at::Tensor& map_hw, double strength);

/// An image as it is, its lowest and highest value drawn as 0 and 255: float [C, H, W] → uint8
/// [H, W, 3].
at::Tensor image_picture(const at::Tensor& image_CHW);

/// A map over its image, each scaled to its largest value: what `explain` and reports draw of
/// attention.
///
/// maps_hw  [h, w], none negative
at::Tensor attention_overlay(const at::Tensor& image_CHW, const at::Tensor& map_hw);

/// Pictures of one height beside each other.
at::Tensor side_by_side(const std::vector<at::Tensor>& pictures_HWC);

/// A picture as lines for a terminal: two pixels a character in 24-bit colours, or letters of
/// rising darkness without them.
///
/// columns  at most; the picture is made smaller to fit
std::string terminal_text(const at::Tensor& picture_HWC, int64_t columns, bool has_colours);

/// An array as NumPy's .npy file, version 1.0: float32, little-endian, C order.
std::string npy_bytes(const at::Tensor& tensor);

}  // namespace vit22b
