#include "optim/lbfgs.h"

#include <cmath>
#include <deque>
#include <limits>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr double kEnoughDecrease = 1e-4, kEnoughCurvature = 0.9;  // Nocedal & Wright 3.1

double inner_product(const at::Tensor& a, const at::Tensor& b) {
  return at::dot(a.flatten(), b.flatten()).item<double>();
}

/// The pairs of steps and gradient changes that stand for the inverse Hessian.
class History {
 public:
  explicit History(int64_t limit) : limit_(static_cast<size_t>(limit)) {}

  void add(const at::Tensor& step, const at::Tensor& change, SmoothFunction& function) {
    const double product = inner_product(step, change);
    if (!(product > 0)) return;  // curvature lost to rounding
    pairs_.push_back({step, change, function.precondition(change), product});
    if (pairs_.size() > limit_) pairs_.pop_front();
  }
  bool is_empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

  /// -H g by the two-loop recursion.
  at::Tensor direction(const at::Tensor& gradient, SmoothFunction& function) const {
    at::Tensor d = gradient.neg();
    if (pairs_.empty()) return function.precondition(d);
    std::vector<double> alphas(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      alphas[i] = inner_product(pairs_[i].step, d) / pairs_[i].product;
      d.sub_(pairs_[i].change, alphas[i]);
    }
    const Pair& last = pairs_.back();
    d = function.precondition(d).mul_(last.product /
                                      inner_product(last.change, last.preconditioned_change));
    for (size_t i = 0; i < pairs_.size(); ++i)
      d.add_(pairs_[i].step, alphas[i] - inner_product(pairs_[i].change, d) / pairs_[i].product);
    return d;
  }

 private:
  struct Pair {
    at::Tensor step, change, preconditioned_change;
    double product;
  };
  size_t limit_;
  std::deque<Pair> pairs_;
};

// A step that fulfils the strong Wolfe conditions, or 0 where rounding leaves none.
double search_line(SmoothFunction& function, double value, double slope, double first_step) {
  constexpr int kMaxTries = 40;
  constexpr double kFarthest = std::numeric_limits<double>::infinity();
  const double slack = 1e-14 * std::abs(value);
  double low = 0, high = kFarthest, low_slope = slope, high_slope = 0, step = first_step;
  for (int i = 0; i < kMaxTries; ++i) {
    const SmoothFunction::OnLine p = function.on_line(step);
    const bool is_too_far = !(p.value <= value + kEnoughDecrease * step * slope + slack) ||
                            p.slope > -kEnoughCurvature * slope;
    if (!is_too_far && p.slope >= kEnoughCurvature * slope) return step;
    (is_too_far ? high : low) = step;
    (is_too_far ? high_slope : low_slope) = p.slope;
    if (high == kFarthest) {
      step *= 2;
      continue;
    }
    // The secant's zero of the slope, kept away from both ends.
    const double width = high - low;
    double next = low + width * low_slope / (low_slope - high_slope);
    if (!std::isfinite(next) || high_slope <= 0) next = low + width / 2;
    step = std::clamp(next, low + 0.1 * width, high - 0.1 * width);
  }
  return 0;
}

}  // namespace

LbfgsReport minimise_lbfgs(SmoothFunction& function, const LbfgsOptions& options) {
  const at::NoGradGuard no_grad;
  LbfgsReport report;
  History history(options.history);
  at::Tensor gradient = function.gradient();
  double value = function.value();
  while (true) {
    report.largest_gradient = gradient.abs().max().item<double>();
    report.has_converged = report.largest_gradient <= options.tolerance;
    if (report.has_converged || report.iterations == options.max_iterations) return report;
    if (options.watch.should_stop())
      throw Stopped("stopped after ", report.iterations, " iterations; nothing was written");
    const at::Tensor direction = history.direction(gradient, function);
    const double slope = inner_product(direction, gradient);
    function.set_direction(direction);
    const double first = history.is_empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1;
    const double step = search_line(function, value, slope, first);
    if (step == 0) {
      if (history.is_empty()) return report;
      history.clear();  // once more along the gradient
      continue;
    }
    function.move(step);
    const at::Tensor next = function.gradient();
    history.add(direction * step, next - gradient, function);
    gradient = next;
    value = function.value();
    ++report.iterations;
  }
}

}  // namespace vit22b
