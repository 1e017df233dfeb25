#include <ATen/ATen.h>

#include "core/error.h"
#include "data/decode.h"
#include "data/exif.h"
#include "data/image_ops.h"
#include "data/kinds/kinds.h"

namespace vit22b {
namespace {

class ImageKind : public PictureKind {
 public:
  at::Tensor decoded(const EncodedPicture& picture) const override {
    const at::Tensor image = decode_image(picture.bytes, picture.id, picture.max_pixels);
    return picture.is_oriented ? turned(image, exif_orientation(picture.bytes)) : image;
  }
  at::Tensor resized(const at::Tensor& value, PictureSize size,
                     const ResizeMethod& method) const override {
    return resize_image(value, size.height, size.width, method);
  }
  at::Tensor padded(const at::Tensor& value, const PadStep& pad) const override {
    const auto colours = static_cast<int64_t>(pad.fill.size()), channels = value.size(-1);
    if (colours > 1 && colours != channels)
      throw DataError("crop_or_pad has ", colours, " colours, the image has ", channels,
                      " channels");
    return padded_with(value, pad, colours == 0 ? at::zeros({1}) : at::tensor(pad.fill));
  }
};

}  // namespace

const PictureKind& image_kind() {
  static const ImageKind kKind;
  return kKind;
}

}  // namespace vit22b
