#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/operations/operation.h"

namespace vit22b {
namespace {

Act resize_by(const TransformCall& call, size_t method_argument,
              std::function<PictureSize(PictureSize, const ResizeMethod&)> size_for) {
  const ResizeMethod method = call.method(method_argument);
  return geometric(call, [method, size_for = std::move(size_for)](PictureSize size, const Draw&) {
    return std::vector<GeometricStep>{ResizeStep{size_for(size, method), method}};
  });
}

/// Keeps the image's shape, both sides rounded half to even: timm's ResizeKeepRatio.
Act resize_to_shape(const TransformCall& call, bool is_cover) {
  const PictureSize wanted = size_arguments(call);
  return resize_by(call, call.has_number(1) ? 2 : 1, [=](PictureSize size, const ResizeMethod&) {
    const auto height = static_cast<double>(size.height), width = static_cast<double>(size.width);
    const double down = height / static_cast<double>(wanted.height),
                 across = width / static_cast<double>(wanted.width);
    const double ratio = is_cover ? std::min(down, across) : std::max(down, across);
    const auto scaled = [&](double side) {
      return std::max<int64_t>(1, std::llrint(side / ratio));
    };
    return PictureSize{scaled(height), scaled(width)};
  });
}

}  // namespace

Act make_resize(const TransformCall& call) {
  const PictureSize wanted = size_arguments(call);
  return resize_by(call, call.has_number(1) ? 2 : 1,
                   [wanted](PictureSize, const ResizeMethod&) { return wanted; });
}

Act make_resize_small(const TransformCall& call) {
  const int64_t side = call.size(0, "a size");
  return resize_by(call, 1, [side](PictureSize size, const ResizeMethod& method) {
    const auto smallest = static_cast<double>(std::min(size.height, size.width));
    const double scale = static_cast<double>(side) / smallest;
    const auto scaled = [&](int64_t n) {
      // torchvision cuts the long side.
      if (method.is_pil) return static_cast<int64_t>(static_cast<double>(side * n) / smallest);
      return std::max<int64_t>(side, std::llround(static_cast<double>(n) * scale));
    };
    return PictureSize{scaled(size.height), scaled(size.width)};
  });
}

Act make_random_scale(const TransformCall& call) {
  const double low = call.number(0, "a smallest factor"), high = call.number(1, "a largest factor");
  if (!(low > 0 && low <= high && high <= 100))
    throw UsageError("preprocessing: random_scale wants 0 < low <= high <= 100");
  const ResizeMethod method = call.method(2);
  return geometric(call, [low, high, method](PictureSize size, const Draw& draw) {
    const double factor = low + (high - low) * static_cast<double>(draw.uniform(0));
    const auto scaled = [&](int64_t side) {
      return std::max<int64_t>(1, std::llround(static_cast<double>(side) * factor));
    };
    return std::vector<GeometricStep>{
        ResizeStep{{scaled(size.height), scaled(size.width)}, method}};
  });
}

Act make_resize_cover(const TransformCall& call) {
  return resize_to_shape(call, /*is_cover=*/true);
}

Act make_resize_multiple(const TransformCall& call) {
  const PictureSize wanted = size_arguments(call);
  const int64_t multiple = call.size(2, "a multiple");
  return resize_by(call, 3, [=](PictureSize size, const ResizeMethod&) {
    const auto height = static_cast<double>(size.height), width = static_cast<double>(size.width);
    const double down = static_cast<double>(wanted.height) / height,
                 across = static_cast<double>(wanted.width) / width;
    const double scale = std::abs(1 - across) < std::abs(1 - down) ? across : down;
    const auto scaled = [&](double side) {  // rounded half to even
      const auto times = std::llrint(scale * side / static_cast<double>(multiple));
      return std::max<int64_t>(1, times) * multiple;
    };
    return PictureSize{scaled(height), scaled(width)};
  });
}

Act make_resize_fit(const TransformCall& call) {
  return resize_to_shape(call, /*is_cover=*/false);
}

}  // namespace vit22b
