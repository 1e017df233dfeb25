#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "optim/lbfgs.h"

namespace vit22b {

/// A linear classifier: scores = features W + b.
struct LinearHead {
  at::Tensor weights_DC;
  at::Tensor bias_C;

  at::Tensor scores(const at::Tensor& features_ND) const;
};

/// Logistic regression fitted so far, to go on from with another penalty.
struct LogisticFit {
  LinearHead head;  ///< float64
  LbfgsReport report;
};

/// Multinomial logistic regression by L-BFGS in float64: minimises C sum_i loss_i + |W|^2 / 2 with
/// the bias unpenalised; with two classes W is the difference of the classes' weights, as in
/// scikit-learn, whose coefficients are column 1 minus column 0.
///
/// Classes without samples get a bias of minus infinity, so that they are never predicted.
/// c       scikit-learn's C
/// start   an earlier fit of the same data to start from, or null
/// source  scikit-learn LogisticRegression (solver lbfgs); the bound of the Hessian that speeds it
/// up
///         is Boehning 1992
LogisticFit fit_logistic(const at::Tensor& features_ND, const at::Tensor& labels_N,
                         int64_t num_classes, double c, const LbfgsOptions& options,
                         const LinearHead* start = nullptr);

/// The most that fit_logistic takes at a time beside the features that it is given, in bytes.
int64_t logistic_bytes(int64_t num_samples, int64_t width, int64_t num_classes,
                       const LbfgsOptions& options);

/// `count` values of C, 10^-6 to 10^5 on a logarithmic scale (DINOv2 eval/log_regression.py has
/// 45).
std::vector<double> penalty_path(int64_t count);

}  // namespace vit22b
