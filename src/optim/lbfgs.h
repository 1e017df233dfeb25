#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/watch.h"

namespace vit22b {

/// A smooth function of one tensor as a line search sees it: the current point, and a line from it.
class SmoothFunction {
 public:
  virtual ~SmoothFunction() = default;
  /// Value and slope at a step along the line.
  struct OnLine {
    double value = 0;
    double slope = 0;
  };
  /// Value and gradient at the current point.
  virtual double value() = 0;
  virtual at::Tensor gradient() = 0;
  /// A rough inverse Hessian times a gradient; a symmetric positive map, the same in every call.
  virtual at::Tensor precondition(const at::Tensor& gradient) { return gradient.clone(); }
  /// Starts a line from the current point.
  virtual void set_direction(const at::Tensor& direction) = 0;
  virtual OnLine on_line(double step) = 0;
  /// Moves the current point along the line.
  virtual void move(double step) = 0;
};

/// When to stop, and how much to remember.
struct LbfgsOptions {
  double tolerance = 1e-6;  ///< of the gradient's largest component
  int64_t max_iterations = 1000;
  int64_t history = 10;
  Watch watch = {};  ///< asked before each iteration
};

/// How a minimisation ended.
struct LbfgsReport {
  int64_t iterations = 0;
  double largest_gradient = 0;
  bool has_converged = false;  ///< else it ran out of iterations, or of digits
};

/// Minimises a function from its current point by L-BFGS with a strong Wolfe line search.
///
/// source  Nocedal & Wright, Numerical Optimization, algorithms 7.4 and 3.5; near the minimum the
///         search accepts what differs by rounding (Hager & Zhang 2005)
LbfgsReport minimise_lbfgs(SmoothFunction& function, const LbfgsOptions& options);

}  // namespace vit22b
