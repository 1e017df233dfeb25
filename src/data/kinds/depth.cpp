#include <ATen/ATen.h>

#include "data/decode.h"
#include "data/kinds/kinds.h"

namespace vit22b {
namespace {

/// Means of what is near and what is far would be surfaces that are not there: the nearest counts.
class DepthKind : public PictureKind {
 public:
  at::Tensor decoded(const EncodedPicture& picture) const override {
    return decode_values(picture.bytes, picture.id, picture.max_pixels).to(at::kFloat);
  }
  at::Tensor resized(const at::Tensor& value, PictureSize size,
                     const ResizeMethod&) const override {
    return resized_to_nearest(value, size);
  }
  at::Tensor padded(const at::Tensor& value, const PadStep& pad) const override {
    return padded_with(value, pad, at::zeros({1}));
  }
};

}  // namespace

const PictureKind& depth_kind() {
  static const DepthKind kKind;
  return kKind;
}

}  // namespace vit22b
