#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "checkpoint/segmentation_info.h"
#include "data/batch.h"
#include "eval/load_predictor.h"
#include "model/dense/dense_head.h"
#include "model/dense/patch_maps.h"
#include "model/predictor.h"

namespace vit22b {

/// How views of pictures are looked at.
struct SegmentOptions {
  int64_t window = 0;                ///< side of sliding windows in pixels; 0: whole views
  int64_t stride = 0;                ///< between windows; 0: two thirds of one
  std::vector<double> scales = {1};  ///< of views, whose probabilities are averaged
  bool has_flips = false;            ///< and those of mirrored views
  /// Whole views are filled to whole patches around them, not below and on the right.
  bool is_padded_around = false;
};

/// Scores of places that cover a view evenly, and what it is filled with.
struct ViewScores {
  at::Tensor scores_HWC;                 ///< float32, on the CPU
  double covered_rows, covered_columns;  ///< pixels that the places cover: the view, perhaps filled
  int64_t rows, columns;                 ///< of the view itself
  double top = 0, left = 0;              ///< where it begins among the pixels that are covered
};

/// Names the class of every pixel of pictures: a model and a head.
class PixelPredictor {
 public:
  /// backbone  outlives it; of images of any size where views differ from the model's
  /// outputs   of the head, a place: classes
  /// weights   the head's, by local name
  PixelPredictor(Predictor& backbone, const ViTConfig& model, const DenseHeadConfig& head,
                 int64_t outputs, NamedTensors weights, SegmentOptions how);

  /// Scores of each view of a batch. Views whose sides are no multiples of the patch are filled
  /// with zeros, below and on the right or around; windows cover each pixel at least once, the last
  /// of a row lies at its end, and the mean of their scores counts.
  ///
  /// source  windows: facebookresearch/dinov3 eval/segmentation/inference.py
  std::vector<ViewScores> views(const at::Tensor& images_BCHW);
  /// How often `views` of a batch runs the model, whatever is in it: every rank of a mesh runs it
  /// as often.
  int64_t num_passes(int64_t height, int64_t width) const;
  int64_t num_classes() const { return num_classes_; }

 private:
  at::Tensor place_scores(const at::Tensor& images_BCHW, double& height, double& width);
  at::Tensor window_scores(const at::Tensor& images_BCHW);
  at::Tensor pixel_scores(const at::Tensor& images_BCHW);
  bool is_averaged() const;

  Predictor& backbone_;
  ViTConfig model_;
  PatchMaps maps_;
  int64_t num_classes_;
  std::unique_ptr<DenseHead> head_;
  NamedTensors weights_;
  SegmentOptions how_;
};

/// Where a window of a row of `size` pixels begins, each at most `window` long: from 0 in strides,
/// the last at the end.
std::vector<int64_t> window_starts(int64_t size, int64_t window, int64_t stride);

/// The classes of a picture's pixels: [H, W] int32 in the size of the picture that was decoded.
/// What its view does not show has the class at the view's edge.
at::Tensor classes_on_picture(const ViewScores& view, const Geometry& geometry);

/// The share of a picture that its view shows.
double shown_share(const Geometry& geometry, int64_t height, int64_t width);

/// A checkpoint with a head opened for inference.
struct LoadedPixelPredictor {
  LoadedModel model;
  SegmentationInfo info;
  std::unique_ptr<PixelPredictor> pixels;
};

/// throws  CheckpointError as load_predictor, and for a checkpoint without such a head
LoadedPixelPredictor load_pixel_predictor(const std::filesystem::path& checkpoint,
                                          const PredictorOptions& options,
                                          const SegmentOptions& how);

}  // namespace vit22b
