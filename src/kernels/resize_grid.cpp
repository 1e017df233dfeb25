#include "kernels/resize_grid.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {

namespace {

// DINOv2's: the scale that takes a grid to 0.1 more than the new one, so that rounding down gives
// it.
at::Tensor resize_as_dinov2(const at::Tensor& grid, at::IntArrayRef from, at::IntArrayRef to) {
  constexpr double kOffset = 0.1;
  const auto scale = [&](size_t side) {
    return (static_cast<double>(to[side]) + kOffset) / static_cast<double>(from[side]);
  };
  return at::upsample_bicubic2d(grid, to, /*align_corners=*/false, scale(0), scale(1));
}

// RADIO's: a square of the larger side, and its top left corner.
at::Tensor resize_as_radio(const at::Tensor& grid, at::IntArrayRef to) {
  const int64_t side = std::max(to[0], to[1]);
  return at::upsample_bilinear2d(grid, {side, side}, /*align_corners=*/false)
      .slice(2, 0, to[0])
      .slice(3, 0, to[1]);
}

at::Tensor resized(const at::Tensor& grid, at::IntArrayRef from, at::IntArrayRef to,
                   const std::string& method) {
  if (method == "bicubic_antialias") return at::_upsample_bicubic2d_aa(grid, to, false);
  if (method == "bicubic") return at::upsample_bicubic2d(grid, to, false);
  if (method == "dinov2") return resize_as_dinov2(grid, from, to);
  if (method == "bilinear") return at::upsample_bilinear2d(grid, to, false);
  if (method == "bilinear_antialias") return at::_upsample_bilinear2d_aa(grid, to, false);
  if (method == "bilinear_align_corners") return at::upsample_bilinear2d(grid, to, true);
  if (method == "radio") return resize_as_radio(grid, to);
  throw UsageError("position table resize '", method,
                   "': want bicubic_antialias, bicubic, dinov2, bilinear, bilinear_antialias, "
                   "bilinear_align_corners or radio");
}

}  // namespace

at::Tensor resize_position_table(const at::Tensor& table_TD, at::IntArrayRef old_grid,
                                 at::IntArrayRef new_grid, const std::string& method) {
  check_shape("resize_position_table", "table", table_TD,
              {{"T", old_grid[0] * old_grid[1]}, {"D"}});
  if (old_grid == new_grid) return table_TD;
  const int64_t width = table_TD.size(1);
  const at::Tensor grid =
      table_TD.to(at::kFloat).reshape({1, old_grid[0], old_grid[1], width}).permute({0, 3, 1, 2});
  return resized(grid, old_grid, new_grid, method)
      .permute({0, 2, 3, 1})
      .reshape({new_grid[0] * new_grid[1], width})
      .to(table_TD.scalar_type());
}

}  // namespace vit22b
