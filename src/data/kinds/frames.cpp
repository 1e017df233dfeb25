#include <ATen/ATen.h>

#include "core/error.h"
#include "data/kinds/kinds.h"

namespace vit22b {
namespace {

/// Images of one size, of which each is treated alike.
class FramesKind : public PictureKind {
 public:
  at::Tensor decoded(const EncodedPicture& picture) const override {
    throw DataError(picture.id, ": a source of frames gives them decoded");
  }
  at::Tensor resized(const at::Tensor& value, PictureSize size,
                     const ResizeMethod& method) const override {
    return of_each(value, [&](const at::Tensor& image_HWC) {
      return image_kind().resized(image_HWC, size, method);
    });
  }
  at::Tensor padded(const at::Tensor& value, const PadStep& pad) const override {
    return of_each(
        value, [&](const at::Tensor& image_HWC) { return image_kind().padded(image_HWC, pad); });
  }

 private:
  template <class Change>
  static at::Tensor of_each(const at::Tensor& frames_FHWC, const Change& change) {
    std::vector<at::Tensor> changed;
    changed.reserve(static_cast<size_t>(frames_FHWC.size(0)));
    for (const at::Tensor& image_HWC : frames_FHWC.unbind(0)) changed.push_back(change(image_HWC));
    return at::stack(changed);
  }
};

}  // namespace

const PictureKind& frames_kind() {
  static const FramesKind kKind;
  return kKind;
}

}  // namespace vit22b
