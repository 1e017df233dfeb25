#include <ATen/ATen.h>

#include "data/decode.h"
#include "data/kinds/kinds.h"
#include "data/mask_labels.h"

namespace vit22b {
namespace {

class MaskKind : public PictureKind {
 public:
  at::Tensor decoded(const EncodedPicture& picture) const override {
    return decode_values(picture.bytes, picture.id, picture.max_pixels);
  }
  at::Tensor resized(const at::Tensor& value, PictureSize size,
                     const ResizeMethod&) const override {
    return resized_to_nearest(value, size);
  }
  at::Tensor padded(const at::Tensor& value, const PadStep& pad) const override {
    return padded_with(value, pad, at::tensor({kNoClass}));
  }
};

}  // namespace

const PictureKind& mask_kind() {
  static const MaskKind kKind;
  return kKind;
}

}  // namespace vit22b
