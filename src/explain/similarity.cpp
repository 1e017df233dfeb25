#include <ATen/ATen.h>

#include <algorithm>

#include "explain/method.h"
#include "explain/pictures.h"

namespace vit22b {
namespace {

/// The patch of a grid of `count` that a share of the picture's side falls into.
int64_t patch_at(double share, int64_t count) {
  return std::min(static_cast<int64_t>(share * static_cast<double>(count)), count - 1);
}

/// The picture [H, W, 3] with a red frame around one of its patches.
at::Tensor framed(const at::Tensor& picture_HWC, int64_t row, int64_t column, int64_t side) {
  at::Tensor marked = picture_HWC.clone();
  const at::Tensor patch =
      marked.narrow(0, row * side, side).narrow(1, column * side, side);  // a view of `marked`
  const at::Tensor inside =
      side > 4 ? patch.slice(0, 2, side - 2).slice(1, 2, side - 2).clone() : at::Tensor();
  patch.copy_(at::tensor({255, 0, 0}, at::kByte).expand_as(patch));
  if (inside.defined()) patch.slice(0, 2, side - 2).slice(1, 2, side - 2).copy_(inside);
  return marked;
}

}  // namespace

void explain_similarity(const ExplainedModel& model, const ExplainRequest& request,
                        const ImageBatches& images, const ExplainSink& sink) {
  images([&](const Batch& batch) {
    const at::Tensor images_BCHW = batch.images_BCHW();
    const at::Tensor tokens = patch_tokens(model, batch);  // [B, h, w, D]
    const at::Tensor unit = tokens / tokens.norm(2, {-1}, /*keepdim=*/true).clamp_min(1e-12);
    const int64_t row = patch_at(request.at_y, unit.size(1));
    const int64_t column = patch_at(request.at_x, unit.size(2));
    const at::Tensor one = unit.select(1, row).select(1, column).unsqueeze(1).unsqueeze(1);
    const at::Tensor cosines = (unit * one).sum(-1);
    for (int64_t i = 0; i < cosines.size(0); ++i) {
      const at::Tensor map =
          patch_picture(cosines[i].clamp(0, 1), images_BCHW.size(2), images_BCHW.size(3));
      sink.add({batch.ids[static_cast<size_t>(i)], cosines[i],
                side_by_side(
                    {framed(image_picture(images_BCHW[i]), row, column, model.config.patch_size),
                     map})});
    }
  });
}

}  // namespace vit22b
