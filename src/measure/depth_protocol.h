#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

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
  /// The truth that counts, in metres; the rest is 0.
  ///
  /// id      for messages
  /// throws  DataError for a picture that the crop is not of
  at::Tensor counted(const at::Tensor& truth_HW, const std::string& id) const;
  /// Whether a truth as counted gives it is one that predictions can be brought to: of a shift too,
  /// two depths at least.
  bool can_align_to(const at::Tensor& truth_HW) const;
  /// What a prediction is in metres, at least min_depth_m and no farther than its bound.
  ///
  /// truth_HW    as counted gives it, of one pixel at least
  /// num_raised  is added how many that count were not above 0
  /// throws      DataError where it says nothing that can be aligned
  at::Tensor metres(const at::Tensor& predicted_HW, const at::Tensor& truth_HW,
                    const std::string& id, int64_t& num_raised) const;
};

/// The parts of pictures that benchmarks count, as "none|nyu_eigen|kitti_eigen|garg".
const char* depth_crops();

}  // namespace vit22b
