#include "eval/depth_predictor.h"

#include <ATen/ATen.h>

#include <cmath>

#include "checkpoint/import/depth_head.h"
#include "core/error.h"

namespace vit22b {
namespace {

/// Where pixels lie among `count` places, as weights of the two nearest: pixel i at step (i + 0.5)
/// + first - 0.5, kept inside.
struct Between {
  at::Tensor low, high, share;
};
Between between(double step, double first, int64_t pixels, int64_t count) {
  const at::Tensor at = (step * (at::arange(pixels, at::kDouble) + 0.5) + first - 0.5)
                            .clamp(0, static_cast<double>(count - 1));
  const at::Tensor low = at.floor();
  return {low.to(at::kLong), (low + 1).clamp_max(static_cast<double>(count - 1)).to(at::kLong),
          (at - low).to(at::kFloat)};
}

at::Tensor interpolated(const at::Tensor& map_HW, const Between& down, const Between& across) {
  const auto along = [](const at::Tensor& map, int64_t dim, const Between& b,
                        const at::Tensor& share) {
    return map.index_select(dim, b.low) * (1 - share) + map.index_select(dim, b.high) * share;
  };
  return along(along(map_HW, 0, down, down.share.unsqueeze(1)), 1, across, across.share);
}

}  // namespace

DepthPredictor::DepthPredictor(Predictor& backbone, const ViTConfig& model, const DepthInfo& info,
                               NamedTensors weights)
    : info_(info),
      places_(backbone, model, info.head, info.output.num_scores(), std::move(weights),
              {.is_padded_around = info.is_padded_around}) {}

std::vector<ViewScores> DepthPredictor::views(const at::Tensor& images_BCHW) {
  const at::NoGradGuard no_grad;
  std::vector<ViewScores> views = places_.views(images_BCHW);
  for (ViewScores& view : views)
    view.scores_HWC = info_.output.bounded(info_.depths(view.scores_HWC.unsqueeze(0)))
                          .squeeze(0)
                          .unsqueeze(2)
                          .contiguous();
  return views;
}

at::Tensor depths_on_picture(const ViewScores& view, const Geometry& geometry) {
  const at::Tensor map_HW = view.scores_HWC.select(2, 0);
  const double down = static_cast<double>(map_HW.size(0)) / view.covered_rows,
               across = static_cast<double>(map_HW.size(1)) / view.covered_columns;
  if (geometry.source_height == 0)  // nothing has moved
    return interpolated(map_HW, between(down, view.top * down, view.rows, map_HW.size(0)),
                        between(across, view.left * across, view.columns, map_HW.size(1)));
  const double y = down / geometry.scale_y, x = across / geometry.scale_x;
  return interpolated(
      map_HW,
      between(y, view.top * down - geometry.offset_y * y, geometry.source_height, map_HW.size(0)),
      between(x, view.left * across - geometry.offset_x * x, geometry.source_width,
              map_HW.size(1)));
}

LoadedDepthPredictor load_depth_predictor(const std::filesystem::path& checkpoint,
                                          const PredictorOptions& options) {
  LoadedDepthPredictor loaded{load_predictor(checkpoint, options), {}, nullptr};
  const ModelInfo& info = loaded.model.info;
  if (!info.depth)
    throw CheckpointError(loaded.model.checkpoint.path().string(),
                          " has no head that says how far every pixel is; vit22b depth CKPT --data "
                          "SRC trains one");
  loaded.info = *info.depth;
  loaded.depth = std::make_unique<DepthPredictor>(
      *loaded.model.predictor, info.config, loaded.info,
      load_depth_head(loaded.model.checkpoint, loaded.info, info.config));
  return loaded;
}

}  // namespace vit22b
