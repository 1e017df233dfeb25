#include "core/error.h"
#include "data/image_ops.h"
#include "data/operations/operation.h"
#include "data/pixel_range.h"

namespace vit22b {
namespace {

double percent_argument(const TransformCall& call) {
  const double percent = call.number(0, "a share in percent");
  if (!(percent >= 0 && percent <= 100))
    throw UsageError("preprocessing: ", call.name, " wants 0 to 100 percent");
  return percent;
}

}  // namespace

Act make_range(const TransformCall& call) {
  const PixelRange range = range_of(call);
  return on_pixels(call, [range](const at::Tensor& pixels, const Draw&) {
    return scale_pixels(pixels, range.scale, range.shift);
  });
}

Act make_gray(const TransformCall& call) {
  return on_pixels(call, [](const at::Tensor& pixels, const Draw&) { return to_gray(pixels); });
}

Act make_rgb(const TransformCall& call) {
  return on_pixels(call, [](const at::Tensor& pixels, const Draw&) { return to_rgb(pixels); });
}

Act make_random_gray(const TransformCall& call) {
  const double percent = percent_argument(call);
  return on_pixels(call, [percent](const at::Tensor& pixels, const Draw& draw) {
    if (draw.uniform(0) * 100 >= percent || pixels.size(-1) == 1) return pixels;
    return to_rgb(to_gray(pixels));
  });
}

Act make_random_invert(const TransformCall& call) {
  const double percent = percent_argument(call);
  return on_pixels(call, [percent](const at::Tensor& pixels, const Draw& draw) {
    return draw.uniform(0) * 100 < percent ? invert_pixels(pixels) : pixels;
  });
}

Act make_photometric(const TransformCall& call) {
  return on_pixels(call, [](const at::Tensor& pixels, const Draw& draw) {
    return with_other_light(pixels, [&](uint64_t k) { return draw.uniform(k); });
  });
}

}  // namespace vit22b
