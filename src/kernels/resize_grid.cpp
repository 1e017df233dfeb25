#include "kernels/resize_grid.h"

#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {

at::Tensor resize_position_table(const at::Tensor& table_TD, at::IntArrayRef old_grid,
                                 at::IntArrayRef new_grid, const std::string& method) {
  check_shape("resize_position_table", "table", table_TD,
              {{"T", old_grid[0] * old_grid[1]}, {"D"}});
  if (old_grid == new_grid) return table_TD;
  const int64_t width = table_TD.size(1);
  const at::Tensor grid =
      table_TD.to(at::kFloat).reshape({1, old_grid[0], old_grid[1], width}).permute({0, 3, 1, 2});
  at::Tensor resized;
  if (method == "bicubic_antialias")
    resized = at::_upsample_bicubic2d_aa(grid, new_grid, /*align_corners=*/false);
  else if (method == "bicubic")
    resized = at::upsample_bicubic2d(grid, new_grid, /*align_corners=*/false);
  else if (method == "bilinear_align_corners")
    resized = at::upsample_bilinear2d(grid, new_grid, /*align_corners=*/true);
  else
    throw UsageError("position table resize '", method,
                     "': want bicubic_antialias, bicubic or bilinear_align_corners");
  return resized.permute({0, 2, 3, 1})
      .reshape({new_grid[0] * new_grid[1], width})
      .to(table_TD.scalar_type());
}

}  // namespace vit22b
