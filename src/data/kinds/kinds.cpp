#include "data/kinds/kinds.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"

namespace vit22b {
namespace {

struct KindOfField {
  FieldKind kind;
  const PictureKind& (*picture)();
};

// The one list of kinds of pictures.
constexpr KindOfField kKinds[] = {{FieldKind::kImage, image_kind},
                                  {FieldKind::kMask, mask_kind},
                                  {FieldKind::kDepth, depth_kind},
                                  {FieldKind::kFrames, frames_kind}};

/// The rows, or columns, that new ones have their middles in.
at::Tensor nearest_places(int64_t from, int64_t to) {
  at::Tensor places = at::empty({to}, at::kLong);
  auto* place = places.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < to; ++i) place[i] = (2 * i + 1) * from / (2 * to);
  return places;
}

}  // namespace

bool is_picture(FieldKind kind) {
  return std::any_of(std::begin(kKinds), std::end(kKinds),
                     [&](const KindOfField& known) { return known.kind == kind; });
}

const PictureKind& picture_kind(FieldKind kind) {
  for (const KindOfField& known : kKinds)
    if (known.kind == kind) return known.picture();
  throw InternalError("picture_kind: the field is no picture");
}

PictureSize PictureKind::size(const at::Tensor& value) const {
  return {value.size(-3), value.size(-2)};
}

at::Tensor PictureKind::cropped(const at::Tensor& value, const CropBox& box) const {
  return value.slice(-3, box.top, box.top + box.height).slice(-2, box.left, box.left + box.width);
}

at::Tensor PictureKind::flipped(const at::Tensor& value) const {
  return value.flip(-2);
}

at::Tensor padded_with(const at::Tensor& value, const PadStep& pad, const at::Tensor& fill) {
  if (pad.size == PictureSize{value.size(0), value.size(1)}) return value;
  at::Tensor result =
      fill.to(value.scalar_type()).expand({pad.size.height, pad.size.width, value.size(2)}).clone();
  result.slice(0, pad.top, pad.top + value.size(0))
      .slice(1, pad.left, pad.left + value.size(1))
      .copy_(value);
  return result;
}

at::Tensor resized_to_nearest(const at::Tensor& value, PictureSize size) {
  return value.index_select(0, nearest_places(value.size(0), size.height))
      .index_select(1, nearest_places(value.size(1), size.width));
}

}  // namespace vit22b
