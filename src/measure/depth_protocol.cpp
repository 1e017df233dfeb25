#include "measure/depth_protocol.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "data/geometry.h"
#include "metrics/depth.h"

namespace vit22b {
namespace {

/// A part of pictures, as shares of their sides.
struct Crop {
  std::string_view name;
  double top, bottom, left, right;
  PictureSize only = {0, 0};  ///< the size that it is of; any where 0
};
/// Eigen et al. 2014's, in pixels of NYU's pictures and in shares of KITTI's; Garg et al. 2016's
/// (arXiv 1603.04992), as monodepth's code has them.
constexpr Crop kCrops[] = {
    {"nyu_eigen", 45.0 / 480, 471.0 / 480, 41.0 / 640, 601.0 / 640, {480, 640}},
    {"kitti_eigen", 0.3324324, 0.91351351, 0.0359477, 0.96405229},
    {"garg", 0.40810811, 0.99189189, 0.03594771, 0.96405229}};

const Crop* find_crop(const std::string& name) {
  for (const Crop& crop : kCrops)
    if (crop.name == name) return &crop;
  return nullptr;
}

/// What the crop leaves of the truth; the rest is 0.
at::Tensor cropped(const at::Tensor& truth_HW, const Crop& crop, const std::string& id) {
  const int64_t height = truth_HW.size(0), width = truth_HW.size(1);
  if (crop.only.height > 0 && crop.only != PictureSize{height, width})
    throw DataError(id, " has ", height, " x ", width, " pixels; the crop ", std::string(crop.name),
                    " is of ", crop.only.height, " x ", crop.only.width);
  constexpr double kRounding = 1e-9;  // 45.0 / 480 * 480 may be below 45
  const auto place = [](double share, int64_t size) {
    return static_cast<int64_t>(share * static_cast<double>(size) + kRounding);
  };
  at::Tensor inside = at::zeros_like(truth_HW);
  const auto part = [&](const at::Tensor& map) {
    return map.slice(0, place(crop.top, height), place(crop.bottom, height))
        .slice(1, place(crop.left, width), place(crop.right, width));
  };
  part(inside).copy_(part(truth_HW));
  return inside;
}

}  // namespace

const char* depth_crops() {
  return "none|nyu_eigen|kitti_eigen|garg";
}

void DepthProtocol::check() const {
  if (crop != "none" && find_crop(crop) == nullptr)
    throw UsageError("the crop '", crop, "': want ", depth_crops());
  if (align != "none" && align != "median" && align != "least_squares")
    throw UsageError("align '", align, "': want none, median or least_squares");
  if (!(min_depth_m > 0) || !std::isfinite(max_depth_m) ||
      (max_depth_m != 0 && max_depth_m <= min_depth_m))
    throw UsageError("depths from ", min_depth_m, " to ", max_depth_m,
                     " m: want a first one above 0 and a last one above it, or 0 for none");
}

at::Tensor DepthProtocol::counted(const at::Tensor& truth_HW, const std::string& id) const {
  at::Tensor counts = truth_HW.isfinite().logical_and(truth_HW.ge(min_depth_m));
  if (max_depth_m > 0) counts = counts.logical_and(truth_HW.le(max_depth_m));
  const at::Tensor truth = truth_HW.masked_fill(counts.logical_not(), 0);
  const Crop* of = find_crop(crop);
  return of == nullptr ? truth : cropped(truth, *of, id);
}

bool DepthProtocol::can_align_to(const at::Tensor& truth_HW) const {
  if (align != "least_squares") return true;
  const at::Tensor there = truth_HW.masked_select(truth_HW.gt(0));
  return there.numel() > 0 && there.max().item<float>() > there.min().item<float>();
}

at::Tensor DepthProtocol::metres(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                                 const std::string& id, int64_t& num_raised) const {
  constexpr double kFarthest = 1e8;  // of inverse depth that is none: MiDaS' own bound
  at::Tensor depth = predicted_HW;
  if (align != "none") {
    const at::Tensor truth =
        is_inverse ? truth_HW.reciprocal().masked_fill(truth_HW.le(0), 0) : truth_HW;
    const metrics::DepthAlignment a = align == "median" ? metrics::median_scale(depth, truth)
                                                        : metrics::scale_and_shift(depth, truth);
    if (!std::isfinite(a.scale) || a.scale == 0)
      throw DataError(id, ": the prediction says nothing that can be aligned to the truth by ",
                      align, "; it is the same everywhere, or 0");
    depth = depth * a.scale + a.shift;
  }
  if (is_inverse) depth = depth.clamp_min(1 / kFarthest).reciprocal();
  num_raised += depth.le(0).logical_and(truth_HW.gt(0)).sum().item<int64_t>();
  depth = depth.clamp_min(min_depth_m);
  return max_depth_m > 0 ? depth.clamp_max(max_depth_m) : depth;
}

}  // namespace vit22b
