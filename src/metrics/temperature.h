#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace vit22b::metrics {

/// The summed negative log likelihood of softmax(beta logits), and its two derivatives by beta.
struct ScaledNll {
  double nll = 0, slope = 0, curvature = 0;

  void add(const ScaledNll& other);
};

/// logits_BC  float32
/// labels_B   int64 in [0, C)
ScaledNll scaled_nll(const at::Tensor& logits_BC, const at::Tensor& labels_B, double beta);

/// One temperature for all logits, 1 / beta.
struct Temperature {
  double value = 1;
  /// Whether a temperature has the least loss. Answers that are all right have none (the colder,
  /// the better), and so do those no better than chance; `value` is then where the search ended,
  /// at 1/1000 or 1000.
  bool is_determined = true;
};

/// The temperature of the least negative log likelihood, by Newton's method kept within bounds: the
/// loss is convex in beta.
///
/// sums    of all samples at a beta; called some ten times
/// source  Guo et al. 2017
Temperature fit_temperature(const std::function<ScaledNll(double beta)>& sums);

}  // namespace vit22b::metrics
