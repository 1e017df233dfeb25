#include "kernels/depth_loss.h"

#include <ATen/ATen.h>

#include <limits>

namespace vit22b {
namespace {

constexpr double kLogEps = 0.001;  // DINOv2's

/// Truth that counts as 1, else 0.
at::Tensor counts_of(const at::Tensor& truth_BYX) {
  return truth_BYX.gt(0).to(at::kFloat);
}

/// ln p - ln d, 0 where there is no truth.
at::Tensor log_difference(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX) {
  const at::Tensor difference =
      (predicted_BYX.clamp_min(0) + kLogEps).log() - (truth_BYX + kLogEps).log();
  return difference * counts_of(truth_BYX);
}

/// Sums over a picture, divided by how many there are, or by 1.
at::Tensor mean_of_picture(const at::Tensor& sums_B, const at::Tensor& counts_B) {
  return sums_B / counts_B.clamp_min(1);
}

at::Tensor sum_of_picture(const at::Tensor& map_BYX) {
  return map_BYX.sum(at::IntArrayRef{1, 2});
}

/// Means of |differences of a map between neighbours|, at four scales, where both count.
at::Tensor slopes_of_scales(const at::Tensor& map_BYX, const at::Tensor& counts_BYX) {
  constexpr int64_t kScales = 4;
  at::Tensor loss;
  for (int64_t scale = 0; scale < kScales; ++scale) {
    const int64_t step = int64_t{1} << scale;
    const auto every = [&](const at::Tensor& map) {
      return map.slice(1, 0, map.size(1), step).slice(2, 0, map.size(2), step);
    };
    const at::Tensor g = every(map_BYX), counts = every(counts_BYX);
    at::Tensor sums = at::zeros({g.size(0)}, g.options());
    for (const int64_t dim : {1, 2}) {
      const int64_t size = g.size(dim);
      if (size < 2) continue;
      const at::Tensor both = counts.narrow(dim, 1, size - 1) * counts.narrow(dim, 0, size - 1);
      const at::Tensor slope = (g.narrow(dim, 1, size - 1) - g.narrow(dim, 0, size - 1)).abs();
      sums = sums + sum_of_picture(slope * both);
    }
    const at::Tensor one = mean_of_picture(sums, sum_of_picture(counts)).mean();
    loss = loss.defined() ? loss + one : one;
  }
  return loss;
}

/// Each picture's values that count less their median, over their mean distance from it; 0 where
/// nothing counts.
at::Tensor without_scale_and_shift(const at::Tensor& map_BYX, const at::Tensor& counts_BYX) {
  constexpr double kLeastScale = 1e-6;  // of one number everywhere
  const double none = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor median_B11 =
      std::get<0>(at::nanmedian(map_BYX.masked_fill(counts_BYX.eq(0), none).flatten(1), 1))
          .nan_to_num(0)
          .view({-1, 1, 1});
  const at::Tensor from_median = (map_BYX - median_B11) * counts_BYX;
  const at::Tensor scale_B =
      mean_of_picture(sum_of_picture(from_median.abs()), sum_of_picture(counts_BYX));
  return from_median / scale_B.clamp_min(kLeastScale).view({-1, 1, 1});
}

at::Tensor ssi_difference(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX,
                          const at::Tensor& counts_BYX) {
  const at::Tensor inverse_BYX = truth_BYX.reciprocal().masked_fill(counts_BYX.eq(0), 0);
  return without_scale_and_shift(predicted_BYX, counts_BYX) -
         without_scale_and_shift(inverse_BYX, counts_BYX);
}

}  // namespace

at::Tensor log1p_mse(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX) {
  const at::Tensor counts = counts_of(truth_BYX);
  const at::Tensor difference = (predicted_BYX.log1p() - truth_BYX.log1p()) * counts;
  return mean_of_picture(sum_of_picture(difference.square()), sum_of_picture(counts)).mean();
}

at::Tensor sig_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX) {
  constexpr double kOfMean = 0.15;
  constexpr double kTiny = 1e-12;  // under the root, whose slope at 0 is no number
  const at::Tensor g = log_difference(predicted_BYX, truth_BYX), counts = counts_of(truth_BYX);
  const at::Tensor n = sum_of_picture(counts), mean = mean_of_picture(sum_of_picture(g), n);
  const at::Tensor from_mean = (g - mean.reshape({-1, 1, 1})) * counts;
  const at::Tensor variance = sum_of_picture(from_mean.square()) / (n - 1).clamp_min(1);
  const at::Tensor loss = (variance + kOfMean * mean.square() + kTiny).sqrt();
  return (loss * n.gt(1).to(at::kFloat)).mean();
}

at::Tensor depth_gradient_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX) {
  return slopes_of_scales(log_difference(predicted_BYX, truth_BYX), counts_of(truth_BYX));
}

at::Tensor ssi_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX) {
  const at::Tensor counts = counts_of(truth_BYX);
  const at::Tensor difference = ssi_difference(predicted_BYX, truth_BYX, counts);
  return mean_of_picture(sum_of_picture(difference.abs()), sum_of_picture(counts)).mean();
}

at::Tensor ssi_gradient_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX) {
  const at::Tensor counts = counts_of(truth_BYX);
  return slopes_of_scales(ssi_difference(predicted_BYX, truth_BYX, counts), counts);
}

}  // namespace vit22b
