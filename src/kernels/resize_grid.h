#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace vit22b {

/// Resamples a position table from its own grid to another one, in float32.
///
/// table_TD  one row a patch, row by row of the grid; T = old_height * old_width
/// method    "bicubic_antialias" (timm), "bicubic" (Hugging Face), "dinov2" (bicubic of a scale
///           that is 0.1 patch larger), "bilinear", "bilinear_antialias",
///           "bilinear_align_corners" (big_vision's zoom of order 1), or "radio" (bilinear to a
///           square of the larger side, cut)
/// returns   [new_height * new_width, D]; the table itself when the grids are equal
at::Tensor resize_position_table(const at::Tensor& table_TD, at::IntArrayRef old_grid,
                                 at::IntArrayRef new_grid, const std::string& method);

}  // namespace vit22b
