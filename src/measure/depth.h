#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/watch.h"
#include "dist/mesh.h"
#include "eval/result.h"
#include "measure/depth_protocol.h"
#include "metrics/depth.h"

namespace vit22b {

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
  void warn_of_left_out() const;
  void add_errors(Result& result) const;
  ResultTable worst() const;
  void gather(const Mesh& mesh);
  void warn_of_units() const;

  DepthProtocol protocol_;
  uint64_t seed_;
  std::vector<Picture> pictures_;
  std::vector<std::string> without_truth_;
  int64_t num_not_finite_ = 0;  ///< of the truth's pixels
  int64_t num_raised_ = 0;      ///< predictions that were not above 0
};

/// What anybody's tool has said: for each depth map of a folder the one of its name in another.
///
/// predicted_step, truth_step  as read_depth's png_step
/// throws                      DataError naming a map without a prediction, or as read_depth and
///                             DepthMeasure
Result measure_depths(const std::filesystem::path& predictions, double predicted_step,
                      const std::filesystem::path& truth, double truth_step,
                      const DepthProtocol& protocol, const Watch& watch);

}  // namespace vit22b
