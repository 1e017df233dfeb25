#pragma once
#include <cstdint>
#include <vector>

namespace vit22b::metrics {

/// A straight line between log odds: logit(y) = offset + slope * logit(x).
struct LogitLine {
  double slope = 0, offset = 0;
  int64_t num_points = 0;

  /// The share that the line has at a share x; NaN for x of 0 or 1, and of a line that is none.
  double at(double x) const;
};

/// Least squares over points of two shares each; points with a share of 0 or 1 are left out, whose
/// log odds are infinite. The line is NaN of fewer than two different x.
///
/// source  Taori et al. 2020, Measuring robustness to natural distribution shifts (its transform)
LogitLine fit_logit_line(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace vit22b::metrics
