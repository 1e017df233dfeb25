#include "measure/model_depth.h"

#include <cmath>

#include "data/sources/depth_folder.h"
#include "eval/finite.h"
#include "eval/picture_views.h"

namespace vit22b {

std::vector<BadSample> depth_all(DepthPredictor& predictor, Predictor& backbone,
                                 const DataSource& source, const Transforms& transforms,
                                 const EvalOptions& options, const TellDepth& tell) {
  const Mesh& mesh = mesh_of(options);
  EvalOptions how = options;
  how.is_ragged = true;
  bool is_told = false;
  return for_each_batch(source, transforms, how, [&](Batch& batch) {
    const int64_t own = passes_of(batch, [](int64_t, int64_t) { return int64_t{1}; });
    const auto most = std::llround(mesh.max(static_cast<double>(own), MeshAxis::kData));
    const std::vector<ViewScores> views =
        views_of(batch, [&](const at::Tensor& images) { return predictor.views(images); });
    for (int64_t pass = own; pass < most; ++pass) backbone.attend();
    const std::vector<at::Tensor> truths = each_of(batch, kDepthField);
    mesh.agree([&] {
      for (size_t i = 0; i < views.size(); ++i) {
        is_told = is_told || warn_of_cut(batch.geometries[i], views[i], batch.ids[i]);
        const at::Tensor predicted = depths_on_picture(views[i], batch.geometries[i]);
        check_finite(predicted.unsqueeze(0), "depth", {batch.ids[i]});
        const at::Tensor truth = truths.empty() ? at::Tensor() : truths[i];
        if (truth.defined()) check_sizes(predicted, truth, batch.ids[i], "depth map");
        tell({batch.ids[i], batch.indices_B[static_cast<int64_t>(i)].item<int64_t>(), predicted,
              truth});
      }
    });
  });
}

Result measure_depth(DepthPredictor& predictor, Predictor& backbone, const DataSource& source,
                     const Transforms& transforms, const EvalOptions& options,
                     DepthMeasure measure) {
  const std::vector<BadSample> bad = depth_all(
      predictor, backbone, source, transforms, options,
      [&](const MeasuredPicture& p) { measure.add(p.predicted_HW, p.truth_HW, p.id, p.index); });
  Result result = measure.finish(mesh_of(options));
  result.bad_samples = bad;
  return result;
}

}  // namespace vit22b
