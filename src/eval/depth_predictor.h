#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "checkpoint/depth_info.h"
#include "data/geometry.h"
#include "eval/load_predictor.h"
#include "eval/pixel_predictor.h"

namespace vit22b {

/// Says how far every pixel of pictures is: a model and a head.
class DepthPredictor {
 public:
  /// backbone  outlives it
  /// weights   the head's, by local name
  DepthPredictor(Predictor& backbone, const ViTConfig& model, const DepthInfo& info,
                 NamedTensors weights);

  /// Depths of each view of a batch, in metres within the head's bounds or relative, at places that
  /// cover it as ViewScores have them (of one score).
  std::vector<ViewScores> views(const at::Tensor& images_BCHW);

 private:
  DepthInfo info_;
  PixelPredictor places_;
};

/// The depths of a picture's pixels: [H, W] float32, metres or relative, in the size of the picture
/// that was decoded, bilinear between the places. What its view does not show has the depth at its
/// edge.
at::Tensor depths_on_picture(const ViewScores& view, const Geometry& geometry);

/// A checkpoint with such a head opened for inference.
struct LoadedDepthPredictor {
  LoadedModel model;
  DepthInfo info;
  std::unique_ptr<DepthPredictor> depth;
};

/// throws  CheckpointError as load_predictor, and for a checkpoint without such a head
LoadedDepthPredictor load_depth_predictor(const std::filesystem::path& checkpoint,
                                          const PredictorOptions& options);

}  // namespace vit22b
