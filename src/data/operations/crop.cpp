#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/image_ops.h"
#include "data/operations/operation.h"

namespace vit22b {
namespace {

/// Where a crop begins that has some room to move in.
int64_t drawn_offset(int64_t room, const Draw& draw, uint64_t k) {
  return static_cast<int64_t>(draw.uniform(k) * static_cast<float>(std::max<int64_t>(0, room) + 1));
}

}  // namespace

Act make_central_crop(const TransformCall& call) {
  const PictureSize wanted = size_arguments(call);
  return geometric(call, [wanted](PictureSize size, const Draw&) {
    const int64_t top = (size.height - wanted.height) / 2, left = (size.width - wanted.width) / 2;
    return std::vector<GeometricStep>{CropBox{top, left, wanted.height, wanted.width}};
  });
}

/// The middle of the picture, its corner rounded half to even; what it lacks on a side is filled,
/// the odd row or column below or on the right.
///
/// source  torchvision center_crop, timm center_crop_or_pad
Act make_crop_or_pad(const TransformCall& call) {
  const PictureSize wanted = size_arguments(call);
  std::vector<double> fill;
  for (size_t i = 2; i < call.arguments.size(); ++i) {
    fill.push_back(call.number(i, "a colour"));
    if (!(fill.back() >= 0 && fill.back() <= 255))
      throw UsageError("preprocessing: crop_or_pad wants colours of 0 to 255, got ", fill.back());
  }
  return geometric(call, [wanted, fill](PictureSize size, const Draw&) {
    // Where the result's first pixel lies in the picture, or the picture's in the result.
    const auto offset = [](int64_t room) {
      return room < 0 ? -(-room / 2) : std::llrint(static_cast<double>(room) / 2);
    };
    const int64_t top = offset(size.height - wanted.height),
                  left = offset(size.width - wanted.width);
    const CropBox box{std::max<int64_t>(0, top), std::max<int64_t>(0, left),
                      std::min(wanted.height, size.height), std::min(wanted.width, size.width)};
    return std::vector<GeometricStep>{box, PadStep{wanted, box.top - top, box.left - left, fill}};
  });
}

Act make_random_crop(const TransformCall& call) {
  const PictureSize wanted = size_arguments(call);
  return geometric(call, [wanted](PictureSize size, const Draw& draw) {
    return std::vector<GeometricStep>{CropBox{drawn_offset(size.height - wanted.height, draw, 0),
                                              drawn_offset(size.width - wanted.width, draw, 1),
                                              wanted.height, wanted.width}};
  });
}

/// A place in the picture by one draw; what it lacks below or on the right is filled, as the
/// fields' kinds fill.
Act make_random_crop_or_pad(const TransformCall& call) {
  const PictureSize wanted = size_arguments(call);
  return geometric(call, [wanted](PictureSize size, const Draw& draw) {
    const CropBox box{drawn_offset(size.height - wanted.height, draw, 0),
                      drawn_offset(size.width - wanted.width, draw, 1),
                      std::min(wanted.height, size.height), std::min(wanted.width, size.width)};
    return std::vector<GeometricStep>{box, PadStep{wanted, 0, 0, {}}};
  });
}

/// size; size, area_min; size, area_min, area_max; or height, width, area_min, area_max.
Act make_inception_crop(const TransformCall& call) {
  const size_t areas = call.arguments.size() == 4 ? 2 : 1;  // the first area's place
  const int64_t height = call.size(0, "a size"),
                width = areas == 2 ? call.size(1, "a width") : height;
  const auto area = [&](size_t i, const char* what, double otherwise) {
    return call.arguments.size() > i ? call.number(i, what) : otherwise;
  };
  const double area_min = area(areas, "a smallest area in percent", 5),
               area_max = area(areas + 1, "a largest area in percent", 100);
  if (!(area_min > 0 && area_min <= area_max && area_max <= 100))
    throw UsageError("preprocessing: inception_crop wants 0 < area_min <= area_max <= 100 percent");
  return geometric(call, [=](PictureSize size, const Draw& draw) {
    const CropBox box = inception_box(size.height, size.width, area_min / 100, area_max / 100,
                                      [&](uint64_t k) { return draw.uniform(k); });
    return std::vector<GeometricStep>{box, ResizeStep{{height, width}, {"bilinear"}}};
  });
}

Act make_flip_lr(const TransformCall& call) {
  return geometric(call, [](PictureSize, const Draw& draw) {
    return draw.uniform(0) < 0.5F ? std::vector<GeometricStep>{FlipStep{}}
                                  : std::vector<GeometricStep>{};
  });
}

}  // namespace vit22b
