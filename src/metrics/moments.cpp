#include "metrics/moments.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

constexpr int64_t kMomentsPart = int64_t{1} << 17;  // values at a time: 1 MiB in float64

}  // namespace

void Moments::add(const at::Tensor& values) {
  const at::Tensor all = values.reshape({-1});
  for (int64_t i = 0; i < all.size(0); i += kMomentsPart) {
    const at::Tensor x = all.narrow(0, i, std::min(kMomentsPart, all.size(0) - i)).to(at::kDouble);
    Moments part;
    part.count_ = x.size(0);
    part.mean_ = x.mean().item<double>();
    part.largest_ = x.abs().max().item<double>();
    const at::Tensor d = x - part.mean_, squares = d.square();
    part.m2_ = squares.sum().item<double>();
    part.m3_ = (squares * d).sum().item<double>();
    part.m4_ = squares.square().sum().item<double>();
    add(part);
  }
}

void Moments::add(const Moments& other) {
  if (other.count_ == 0) return;
  const auto a = static_cast<double>(count_), b = static_cast<double>(other.count_), n = a + b;
  const double delta = other.mean_ - mean_, delta2 = delta * delta;
  m4_ += other.m4_ + delta2 * delta2 * a * b * (a * a - a * b + b * b) / (n * n * n) +
         6 * delta2 * (a * a * other.m2_ + b * b * m2_) / (n * n) +
         4 * delta * (a * other.m3_ - b * m3_) / n;
  m3_ += other.m3_ + delta2 * delta * a * b * (a - b) / (n * n) +
         3 * delta * (a * other.m2_ - b * m2_) / n;
  m2_ += other.m2_ + delta2 * a * b / n;
  mean_ += delta * b / n;
  count_ += other.count_;
  // A NaN stays: the mean has it, and every number asks for the mean.
  largest_ = std::max(largest_, other.largest_);
}

double Moments::mean() const {
  return count_ > 0 && std::isfinite(mean_) ? mean_ : kUndefined;
}

double Moments::mean_square() const {
  return m2_ / static_cast<double>(count_) + mean() * mean();
}

double Moments::norm() const {
  return std::sqrt(mean_square() * static_cast<double>(count_));
}

double Moments::largest() const {
  return std::isnan(mean()) ? kUndefined : largest_;
}

double Moments::outlier_ratio() const {
  return mean_square() > 0 ? largest() / std::sqrt(mean_square()) : kUndefined;
}

double Moments::kurtosis() const {
  return std::isfinite(mean_) && m2_ > 0 ? m4_ * static_cast<double>(count_) / (m2_ * m2_)
                                         : kUndefined;
}

}  // namespace vit22b::metrics
