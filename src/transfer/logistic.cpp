#include "transfer/logistic.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "eval/labelled_features.h"

namespace vit22b {
namespace {

// The bound costs D^3 / 3 once; beyond this many features a sample its solves outweigh the
// products.
constexpr int64_t kMostPreconditioned = 4;

/// The mean loss over the samples plus penalty / 2 |W|^2. The scores of the line's direction are
/// kept, so that a step along it costs no product: an iteration has two, however long its search.
class LogisticLoss : public SmoothFunction {
 public:
  /// labels_N     0 to C - 1
  /// weights_EC   rows of features, last the bias
  LogisticLoss(const at::Tensor& x_ND, const at::Tensor& labels_N, double penalty,
               const at::Tensor& weights_EC)
      : x_ND_(x_ND),
        labels_N1_(labels_N.unsqueeze(1)),
        penalty_(penalty),
        num_(static_cast<double>(x_ND.size(0))),
        point_(weights_EC),
        scores_NC_(scores(weights_EC)) {
    evaluate(scores_NC_);
    if (x_ND_.size(1) <= kMostPreconditioned * x_ND_.size(0)) factor_bound();
  }

  const at::Tensor& point() const { return point_; }

  double value() override { return loss_ + penalty_ / 2 * square(point_, point_); }

  at::Tensor gradient() override {
    at::Tensor g = at::empty_like(point_);
    at::Tensor features = g.slice(0, 0, -1);
    at::mm_out(features, x_ND_.t(), errors_NC_);
    features.add_(point_.slice(0, 0, -1), num_ * penalty_);
    g[-1].copy_(errors_NC_.sum(0));
    return g.div_(num_);
  }

  at::Tensor precondition(const at::Tensor& gradient) override {
    return bound_EE_.defined() ? at::cholesky_solve(gradient, bound_EE_) : gradient.clone();
  }

  void set_direction(const at::Tensor& direction) override {
    direction_ = direction;
    line_NC_ = scores(direction);
    cross_ = square(point_, direction);
    length_ = square(direction, direction);
  }

  OnLine on_line(double step) override {
    evaluate(at::add(scores_NC_, line_NC_, step));
    step_ = step;
    const double slope = at::dot(errors_NC_.flatten(), line_NC_.flatten()).item<double>() / num_;
    const double norm = square(point_, point_) + 2 * step * cross_ + step * step * length_;
    return {loss_ + penalty_ / 2 * norm, slope + penalty_ * (cross_ + step * length_)};
  }

  void move(double step) override {
    point_ = point_ + step * direction_;
    scores_NC_.add_(line_NC_, step);
    if (step != step_) evaluate(scores_NC_);
  }

 private:
  /// Boehning's bound of the Hessian, 1/2 X'X / N + penalty for every class, as a Cholesky factor:
  /// it takes the features' own scales and correlations out of the problem.
  void factor_bound() {
    const int64_t width = x_ND_.size(1);
    bound_EE_ = at::empty({width + 1, width + 1}, at::kDouble);
    const at::Tensor sums_D = x_ND_.sum(0);
    bound_EE_.slice(0, 0, width).slice(1, 0, width).copy_(at::mm(x_ND_.t(), x_ND_));
    bound_EE_.slice(0, 0, width).select(1, width).copy_(sums_D);
    bound_EE_.select(0, width).slice(0, 0, width).copy_(sums_D);
    bound_EE_.select(0, width).select(0, width).fill_(num_);
    bound_EE_.div_(2 * num_);
    const double rounding = 1e-12 * bound_EE_.diagonal().mean().item<double>();
    bound_EE_.diagonal().slice(0, 0, width).add_(penalty_ + rounding);
    bound_EE_ = at::linalg_cholesky(bound_EE_);
  }

  static double square(const at::Tensor& a, const at::Tensor& b) {
    return at::dot(a.slice(0, 0, -1).flatten(), b.slice(0, 0, -1).flatten()).item<double>();
  }

  at::Tensor scores(const at::Tensor& w_EC) const {
    return at::addmm(w_EC[-1], x_ND_, w_EC.slice(0, 0, -1));
  }

  /// Leaves the loss and its gradient with respect to the scores (times the number of samples).
  void evaluate(const at::Tensor& scores_NC) {
    errors_NC_ = at::log_softmax(scores_NC, 1);
    loss_ = -errors_NC_.gather(1, labels_N1_).sum().item<double>() / num_;
    errors_NC_.exp_();
    errors_NC_.scatter_add_(1, labels_N1_, at::full_like(labels_N1_, -1, at::kDouble));
  }

  at::Tensor x_ND_, labels_N1_;
  double penalty_, num_;
  at::Tensor bound_EE_;  ///< undefined where there are far more features than samples
  at::Tensor point_, scores_NC_, errors_NC_;
  double loss_ = 0;
  at::Tensor direction_, line_NC_;
  double cross_ = 0, length_ = 0, step_ = 0;
};

}  // namespace

at::Tensor LinearHead::scores(const at::Tensor& features_ND) const {
  return at::addmm(bias_C, features_ND.to(weights_DC.scalar_type()), weights_DC);
}

LogisticFit fit_logistic(const at::Tensor& features_ND, const at::Tensor& labels_N,
                         int64_t num_classes, double c, const LbfgsOptions& options,
                         const LinearHead* start) {
  if (!(c > 0) || !std::isfinite(c)) throw UsageError("C is ", c, ", want a positive number");
  const at::Tensor seen = class_counts(labels_N, num_classes).nonzero().flatten();
  const int64_t width = features_ND.size(1), classes = seen.size(0);
  if (classes < 2) throw DataError("logistic regression: samples of ", classes, " class, want 2");
  at::Tensor column = at::zeros({num_classes}, at::kLong);
  column.index_copy_(0, seen, at::arange(classes, at::kLong));
  at::Tensor weights = at::zeros({width + 1, classes}, at::kDouble);
  if (start != nullptr) {
    weights.slice(0, 0, width).copy_(start->weights_DC.index_select(1, seen));
    weights[width].copy_(start->bias_C.index_select(0, seen));
    VIT22B_CHECK(weights.isfinite().all().item<bool>(), "fit_logistic: start from other classes");
  }
  const double two_classes = classes == 2 ? 2 : 1;
  LogisticLoss loss(features_ND.to(at::kDouble), column.index_select(0, labels_N),
                    two_classes / (c * static_cast<double>(features_ND.size(0))), weights);
  LogisticFit fit;
  fit.report = minimise_lbfgs(loss, options);
  fit.head.weights_DC = at::zeros({width, num_classes}, at::kDouble);
  fit.head.bias_C = at::full({num_classes}, -std::numeric_limits<double>::infinity(), at::kDouble);
  fit.head.weights_DC.index_copy_(1, seen, loss.point().slice(0, 0, width));
  fit.head.bias_C.index_copy_(0, seen, loss.point()[width]);
  return fit;
}

int64_t logistic_bytes(int64_t num_samples, int64_t width, int64_t num_classes,
                       const LbfgsOptions& options) {
  constexpr int64_t kValueBytes = sizeof(double);
  // Scores of the point and of the line, their sum, its errors and those before; labels and what
  // is looked up.
  const int64_t scores = num_samples * (5 * num_classes + 4);
  // Point, gradient, direction, and of each remembered step three.
  const int64_t points = (3 * options.history + 8) * (width + 1) * num_classes;
  const bool has_bound = width <= kMostPreconditioned * num_samples;
  const int64_t bound = has_bound ? 3 * (width + 1) * (width + 1) : 0;
  return kValueBytes * (num_samples * width + scores + points + bound);
}

std::vector<double> penalty_path(int64_t count) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(std::pow(
        10.0,
        count == 1 ? 0.0 : -6 + 11 * static_cast<double>(i) / static_cast<double>(count - 1)));
  return values;
}

}  // namespace vit22b
