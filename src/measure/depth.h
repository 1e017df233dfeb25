#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/watch.h"
#include "dist/mesh.h"
#include "eval/depth_predictor.h"
#include "eval/evaluation.h"
#include "eval/result.h"
#include "metrics/depth.h"

namespace vit22b {

/// How depths are compared with the truth.
struct DepthProtocol {
  double min_depth_m = 0.001;  ///< what is nearer counts for nothing; predictions are at least it
  double max_depth_m = 0;      ///< the same of what is farther; 0 for no such bound
  std::string crop = "none";   ///< of depth_crops
  std::string align = "none";  ///< "median" or "least_squares": each picture's own, to the truth
  bool is_inverse = false;     ///< predictions are of 1 / depth, the larger the nearer

  /// throws  UsageError for a word or a bound that is none
  void check() const;
};

/// The parts of pictures that benchmarks count, as "none|nyu_eigen|kitti_eigen|garg".
const char* depth_crops();

/// What depth maps of many pictures are worth.
class DepthMeasure {
 public:
  /// throws  as DepthProtocol::check
  explicit DepthMeasure(DepthProtocol protocol, uint64_t seed = 0);

  /// One picture's. Truth that is 0 or no number was not measured.
  ///
  /// predicted  [H, W] float32: metres, or what the protocol makes such
  /// truth      [H, W] float32, metres
  /// throws     DataError naming the picture: another size, a prediction that is no number where
  ///            the truth is there, one number everywhere that is to be aligned
  void add(const at::Tensor& predicted_HW, const at::Tensor& truth_HW, const std::string& id,
           int64_t index);
  /// Of all ranks together; every rank calls it. Numbers: each of depth_metrics twice,
  /// NAME.per_image (the mean over pictures, with its interval) and NAME.per_pixel (of all pixels
  /// together); what was left out; the twelve pictures with the largest abs_rel.
  ///
  /// throws  DataError where no picture has a truth
  Result finish(const Mesh& mesh);

 private:
  struct Picture {
    std::string id;
    int64_t index;
    metrics::DepthSums sums;
    double truth_m = 0, ratio = 0;  ///< the median depth, and what is said over it
  };
  at::Tensor counted(const at::Tensor& truth_HW) const;
  at::Tensor depths_of(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                       const std::string& id);
  void gather(const Mesh& mesh);
  void warn_of_units() const;

  DepthProtocol protocol_;
  uint64_t seed_;
  std::vector<Picture> pictures_;
  std::vector<std::string> without_truth_;
  int64_t num_not_finite_ = 0;  ///< of the truth's pixels
  int64_t num_raised_ = 0;      ///< predictions that were not above 0
};

/// One picture, and what is said of it.
struct MeasuredPicture {
  const std::string& id;
  int64_t index;            ///< in the source
  at::Tensor predicted_HW;  ///< float32 metres, in the picture's size
  at::Tensor truth_HW;      ///< the same; undefined where the source has no depth maps
};
using TellDepth = std::function<void(const MeasuredPicture& picture)>;

/// Runs a predictor over a source, whose depth maps are of metres if there are any, in order, each
/// rank over its share.
///
/// backbone    the predictor's, which attends for ranks that have fewer pictures
/// transforms  of images; depth maps stay as large as their pictures
/// returns     the samples that were left out
/// throws      as for_each_batch; DataError for a depth map of another size than its picture
std::vector<BadSample> depth_all(DepthPredictor& predictor, Predictor& backbone,
                                 const DataSource& source, const Transforms& transforms,
                                 const EvalOptions& options, const TellDepth& tell);

/// What depth_all says, measured.
Result measure_depth(DepthPredictor& predictor, Predictor& backbone, const DataSource& source,
                     const Transforms& transforms, const EvalOptions& options,
                     DepthMeasure measure);

/// What anybody's tool has said: for each depth map of a folder the one of its name in another.
///
/// predicted_step, truth_step  as read_depth's png_step
/// throws                      DataError naming a map without a prediction, or as read_depth and
///                             DepthMeasure
Result measure_depths(const std::filesystem::path& predictions, double predicted_step,
                      const std::filesystem::path& truth, double truth_step,
                      const DepthProtocol& protocol, const Watch& watch);

}  // namespace vit22b
