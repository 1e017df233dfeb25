#include "model/dense/depth_output.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"

namespace vit22b {

void DepthOutput::fields(FieldVisitor& v) {
  v.choice(
      "output", output, "auto|bins|log|metres|sigmoid|relative",
      "bins, and of dpt log (auto); the mean of bins of depth (DINOv2's), ln(1 + depth) (the "
      "paper's), metres themselves, a "
      "share of max_depth (Depth Anything's), or relative: 1 / depth up to a scale and a shift");
  v.field("bins", bins, "output=bins: how many, evenly from min_depth to max_depth");
  v.field("min_depth", min_depth, "metres; what is nearer does not count, and is never said");
  v.field("max_depth", max_depth, "metres; what is farther does not count, and is never said");
  v.field("upsample", upsample,
          "places that a side of a patch has, between which scores are interpolated before they "
          "become depths; dpt's scores are of pixels already");
}

DepthOutput DepthOutput::of(bool is_head_of_pixels) const {
  DepthOutput own = *this;
  if (output == "auto") own.output = is_head_of_pixels ? "log" : "bins";
  return own;
}

void DepthOutput::check() const {
  if (output == "auto") throw UsageError("output is auto, want what a head has");
  if (bins < 2 || bins > 65'536) throw UsageError("bins is ", bins, ", want 2 to 65,536");
  if (upsample < 1 || upsample > 32) throw UsageError("upsample is ", upsample, ", want 1 to 32");
  if (!(min_depth > 0 && std::isfinite(max_depth) && max_depth > min_depth))
    throw UsageError("min_depth is ", min_depth, ", max_depth ", max_depth,
                     ": want metres above 0, and the second above the first");
}

std::string DepthOutput::unit() const {
  return is_relative() ? "relative inverse depth: larger is nearer, scale and shift unknown" : "m";
}

at::Tensor DepthOutput::depths(const at::Tensor& scores_BHWC, bool are_fine) const {
  constexpr double kLeast = 0.1;  // of each bin's weight, so that their sum is never 0
  at::Tensor scores_BCHW = scores_BHWC.permute({0, 3, 1, 2});
  if (upsample > 1 && !are_fine)
    scores_BCHW = at::upsample_bilinear2d(
        scores_BCHW, {scores_BCHW.size(2) * upsample, scores_BCHW.size(3) * upsample},
        /*align_corners=*/false);
  const at::Tensor first_BHW = scores_BCHW.select(1, 0);
  if (output == "log") return first_BHW.expm1();
  if (output == "metres") return first_BHW.relu() + min_depth;
  if (output == "sigmoid") return first_BHW.sigmoid() * max_depth;
  if (output == "relative") return first_BHW.relu();
  const at::Tensor weights = scores_BCHW.relu() + kLeast;
  const at::Tensor centres = at::linspace(min_depth, max_depth, bins, weights.options());
  return at::einsum("bchw,c->bhw", {weights, centres}) / weights.sum(1);
}

at::Tensor DepthOutput::bounded(const at::Tensor& depths) const {
  return is_relative() ? depths.clamp_min(0) : depths.clamp(min_depth, max_depth);
}

}  // namespace vit22b
