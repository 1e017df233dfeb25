#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "eval/evaluation.h"
#include "eval/pixel_predictor.h"
#include "eval/result.h"
#include "metrics/segmentation.h"

namespace vit22b {

/// What a segmentation of many pictures is worth: every number is of all pixels together.
class SegmentationMeasure {
 public:
  explicit SegmentationMeasure(std::vector<std::string> class_names, uint64_t seed = 0)
      : names_(std::move(class_names)),
        seed_(seed),
        all_(num_classes()),
        boundaries_(num_classes()) {}

  /// One picture's.
  ///
  /// predicted, truth  [H, W] int32, truth below 0 for pixels that count for nothing
  void add(const at::Tensor& predicted_HW, const at::Tensor& truth_HW, const std::string& id,
           int64_t index);
  /// Of all ranks together; every rank calls it. Numbers: miou (with its interval over pictures),
  /// pixel_accuracy, mean_accuracy, mean_dice, boundary_iou; lists by class; the twelve pictures
  /// with the lowest mean IoU of their own classes.
  Result finish(const Mesh& mesh);

 private:
  int64_t num_classes() const { return static_cast<int64_t>(names_.size()); }
  void gather(const Mesh& mesh);

  struct Picture {
    std::string id;
    int64_t index;
    metrics::PixelCounts counts;
  };
  std::vector<std::string> names_;
  uint64_t seed_;
  metrics::PixelCounts all_, boundaries_;
  std::vector<Picture> pictures_;
};

/// One picture, and what is said of it.
struct SegmentedPicture {
  const std::string& id;
  int64_t index;  ///< in the source
  const ViewScores& view;
  at::Tensor predicted_HW;  ///< int32, in the picture's size
  at::Tensor truth_HW;      ///< the same; undefined where the source has no masks
};
using TellSegmented = std::function<void(const SegmentedPicture& picture)>;

/// Runs a segmenter over a source, whose masks have classes if there are any, in order, each rank
/// over its share.
///
/// backbone    the segmenter's, which attends for ranks that have fewer pictures
/// transforms  of images; masks stay as large as their pictures
/// returns     the samples that were left out
/// throws      as for_each_batch; DataError for a mask of another size than its picture
std::vector<BadSample> segment_all(PixelPredictor& segmenter, Predictor& backbone,
                                   const DataSource& source, const Transforms& transforms,
                                   const EvalOptions& options, const TellSegmented& tell);

/// What segment_all says, measured.
Result measure_segmentation(PixelPredictor& segmenter, Predictor& backbone,
                            const DataSource& source, const Transforms& transforms,
                            const EvalOptions& options, SegmentationMeasure measure);

/// What anybody's tool has said: for each mask of a folder the PNG of its name in another.
///
/// predictions  classes as they are, no offset; below the number of classes where it counts
/// truth        values that `labels` makes classes of
/// throws       DataError naming a mask without a prediction, one of another size, or a value that
///              is no class
Result measure_masks(const std::filesystem::path& predictions, const std::filesystem::path& truth,
                     const MaskLabels& labels, const std::vector<std::string>& class_names,
                     const Watch& watch);

}  // namespace vit22b
