#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// Losses of depths, each the mean over pictures of a picture's own, 0 for one without truth; in
/// differentiable operations of ATen.
///
/// predicted_BYX  float32, metres
/// truth_BYX      float32, metres; 0 for pixels that count for nothing

/// The mean of (ln(1 + p) - ln(1 + d))^2 over a picture's pixels; p above -1.
///
/// source  Dehghani et al. 2023 (arXiv 2302.05442), 4.3.2
at::Tensor log1p_mse(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX);

/// sqrt(variance of g + 0.15 mean(g)^2) with g = ln(p + 0.001) - ln(d + 0.001), the variance
/// without bias; predictions below 0 count as 0. 0 for a picture of fewer than two such pixels.
///
/// source  facebookresearch/dinov2 eval/depth/models/losses/sigloss.py; Eigen et al. 2014
at::Tensor sig_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX);

/// Means of |differences of g between neighbours, either way|, of every 1st, 2nd, 4th and 8th
/// pixel, where both have a truth; over the pixels of that scale with a truth, summed.
///
/// source  facebookresearch/dinov2 eval/depth/models/losses/gradientloss.py; Li and Snavely 2018
at::Tensor depth_gradient_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX);

/// Of relative predictions p and 1 / truth: each brought to a median of 0 and a mean distance of 1
/// from it, over a picture's pixels that count; the mean distance between both.
///
/// predicted_BYX  float32, no unit
/// source         Ranftl et al. 2020 (arXiv 1907.01341), 5: the scale- and shift-invariant loss;
///                Yang et al. 2024 (arXiv 2401.10891), 3.1, without trimming
at::Tensor ssi_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX);
/// The gradients' loss of both, brought there: as depth_gradient_loss of the difference.
at::Tensor ssi_gradient_loss(const at::Tensor& predicted_BYX, const at::Tensor& truth_BYX);

}  // namespace vit22b
