#include <ATen/ATen.h>

#include "explain/method.h"
#include "explain/pca.h"
#include "explain/pictures.h"

namespace vit22b {
namespace {

/// An image's patches in the basis.
struct Projected {
  std::string id;
  int64_t height, width;  ///< of the image
  at::Tensor patch_map;
};

}  // namespace

// Two passes over the images where the basis is to be fitted to them, so that none is held.
void explain_pca(const ExplainedModel& model, const ExplainRequest& request,
                 const ImageBatches& images, const ExplainSink& sink) {
  const auto patches = [&](const Batch& batch) { return patch_tokens(model, batch); };
  PcaBasis basis;
  if (request.basis.empty()) {
    PcaFit fit;
    images([&](const Batch& batch) { fit.add(patches(batch).flatten(0, 2)); });
    basis = fit.basis();
  } else {
    basis = load_basis(request.basis, model.config.embed_dim);
  }
  std::vector<Projected> all;
  images([&](const Batch& batch) {
    const std::vector<at::Tensor> own = patches(batch).unbind(0);
    const at::Tensor images_BCHW = batch.images_BCHW();
    for (size_t i = 0; i < own.size(); ++i)
      all.push_back({batch.ids[i], images_BCHW.size(2), images_BCHW.size(3),
                     project(basis, own[i].flatten(0, 1)).view({own[i].size(0), -1, 3})});
  });
  if (request.basis.empty()) {
    std::vector<at::Tensor> projected;
    projected.reserve(all.size());
    for (const Projected& image : all) projected.push_back(image.patch_map.flatten(0, 1));
    set_range(basis, at::cat(projected));
    if (sink.ops != nullptr) save_basis(*sink.ops, sink.folder / "basis.safetensors", basis);
  }
  for (const auto& [id, height, width, patch_map] : all) {
    const at::Tensor map = colours(basis, patch_map.flatten(0, 1)).view(patch_map.sizes());
    sink.add({id, patch_map, patch_picture(map, height, width)});
  }
}

}  // namespace vit22b
