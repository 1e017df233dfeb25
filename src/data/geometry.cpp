#include "data/geometry.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
#include "data/kinds/kinds.h"

namespace vit22b {
namespace {

// Room for any picture that a model takes; a picture of 16384 x 1 would grow to gigabytes.
constexpr int64_t kMaxResizedPixels = int64_t{1} << 26;

void check_crop(const CropBox& box, PictureSize of) {
  if (box.top < 0 || box.left < 0 || box.top + box.height > of.height ||
      box.left + box.width > of.width)
    throw DataError("a crop of ", box.height, " x ", box.width, " does not fit an image of ",
                    of.height, " x ", of.width, "; put resize_small before it");
}

void check_resized(PictureSize size, PictureSize of) {
  if (size.height * size.width > kMaxResizedPixels)
    throw DataError("an image of ", of.height, " x ", of.width, " is too thin: resized it has ",
                    size.height, " x ", size.width, " pixels, want at most ", kMaxResizedPixels);
}

/// Moves the place that counts as the upper left corner of a field by some of its own pixels.
void move_corner(Geometry& geometry, double down, double right) {
  geometry.offset_y += geometry.scale_y * down;
  geometry.offset_x += geometry.scale_x * right;
}

/// The row, or column, of a field that each of the picture's has its middle in; `size` for none.
at::Tensor field_places(int64_t source_size, double scale, double offset, int64_t size) {
  at::Tensor places = at::empty({source_size}, at::kLong);
  auto* place = places.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < source_size; ++i) {
    const double at = std::floor((static_cast<double>(i) + 0.5 - offset) / scale);
    place[i] = at >= 0 && at < static_cast<double>(size) ? static_cast<int64_t>(at) : size;
  }
  return places;
}

/// The map with one more row, or column, of another value.
at::Tensor with_outside(const at::Tensor& map, int64_t dim, const at::Scalar& outside) {
  std::vector<int64_t> shape = map.sizes().vec();
  shape[static_cast<size_t>(dim)] = 1;
  return at::cat({map, at::full(shape, outside, map.options())}, dim);
}

}  // namespace

PictureSize picture_size(const Field& field) {
  return picture_kind(field.kind).size(field.value);
}

void apply_step(Field& field, const GeometricStep& step) {
  const PictureKind& kind = picture_kind(field.kind);
  const PictureSize size = picture_size(field);
  Geometry& geometry = field.geometry;
  if (geometry.source_height == 0) {
    geometry.source_height = size.height;
    geometry.source_width = size.width;
  }
  if (const auto* box = std::get_if<CropBox>(&step)) {
    check_crop(*box, size);
    field.value = kind.cropped(field.value, *box);
    move_corner(geometry, static_cast<double>(box->top), static_cast<double>(box->left));
  } else if (const auto* resize = std::get_if<ResizeStep>(&step)) {
    if (resize->size == size) return;
    check_resized(resize->size, size);
    field.value = kind.resized(field.value, resize->size, resize->method);
    geometry.scale_y *= static_cast<double>(size.height) / static_cast<double>(resize->size.height);
    geometry.scale_x *= static_cast<double>(size.width) / static_cast<double>(resize->size.width);
  } else if (const auto* pad = std::get_if<PadStep>(&step)) {
    field.value = kind.padded(field.value, *pad);
    move_corner(geometry, -static_cast<double>(pad->top), -static_cast<double>(pad->left));
  } else {
    field.value = kind.flipped(field.value);
    move_corner(geometry, 0, static_cast<double>(size.width));
    geometry.scale_x = -geometry.scale_x;
  }
}

at::Tensor put_back(const at::Tensor& map, const Geometry& geometry, const at::Scalar& outside) {
  const at::Tensor rows =
      field_places(geometry.source_height, geometry.scale_y, geometry.offset_y, map.size(0));
  const at::Tensor columns =
      field_places(geometry.source_width, geometry.scale_x, geometry.offset_x, map.size(1));
  return with_outside(with_outside(map, 0, outside), 1, outside)
      .index_select(0, rows)
      .index_select(1, columns);
}

}  // namespace vit22b
