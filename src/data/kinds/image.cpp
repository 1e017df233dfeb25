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
    return pad_image(value, pad);
  }
};

}  // namespace

const PictureKind& image_kind() {
  static const ImageKind kind;
  return kind;
}

}  // namespace vit22b
