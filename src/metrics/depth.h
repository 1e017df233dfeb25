#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "metrics/metric.h"

namespace vit22b::metrics {

/// Ratios within which a depth counts as near the truth.
constexpr std::array<double, 4> kDepthRatios = {1.1, 1.25, 1.25 * 1.25, 1.25 * 1.25 * 1.25};

/// How far depths p are from the truth d: sums over pixels, of which every measure is made.
struct DepthSums {
  int64_t pixels = 0;
  double relative = 0;                                   ///< |p - d| / d
  double relative_squares = 0;                           ///< (p - d)^2 / d
  double squares = 0;                                    ///< (p - d)^2
  double logs = 0;                                       ///< ln p - ln d
  double log_squares = 0;                                ///< (ln p - ln d)^2
  double log10s = 0;                                     ///< |log10 p - log10 d|
  double log1p_squares = 0;                              ///< (ln(1 + p) - ln(1 + d))^2
  std::array<int64_t, kDepthRatios.size()> within = {};  ///< max(p / d, d / p) < ratio

  void add(const DepthSums& other);
};

/// Sums of the pixels whose truth is above 0.
///
/// predicted, truth  float32 of one size, metres; predicted finite and above 0 where truth is
/// throws            InternalError for other sizes, or a prediction that is neither
DepthSums sum_depth_errors(const at::Tensor& predicted, const at::Tensor& truth);

/// What is made of sums, in the order of depth_errors: abs_rel, sq_rel, rmse, rmse_log, log10,
/// silog, delta_1_1, delta_1_25, delta_1_25_2, delta_1_25_3, mse_log.
///
/// source  Eigen et al. 2014 (arXiv 1406.2283); silog as KITTI's, 100 times the standard deviation
///         of ln p - ln d; mse_log of ln(1 + d), Dehghani et al. 2023 (arXiv 2302.05442)
std::vector<Metric> depth_metrics();
/// NaN for sums of no pixels.
std::vector<double> depth_errors(const DepthSums& sums);

/// What makes relative numbers depths: scale x + shift.
struct DepthAlignment {
  double scale = 1, shift = 0;
};
/// median(d) / median(x), of pixels whose truth is above 0; the lower of two middle ones, as
/// torch.median.
///
/// throws  as scale_and_shift
DepthAlignment median_scale(const at::Tensor& relative, const at::Tensor& truth);
/// The least squares of scale x + shift - d over those pixels.
///
/// throws  InternalError for no such pixel; gives NaN where no scale makes one of the other
/// source  Ranftl et al. 2020 (MiDaS, arXiv 1907.01341), section 5
DepthAlignment scale_and_shift(const at::Tensor& relative, const at::Tensor& truth);

}  // namespace vit22b::metrics
