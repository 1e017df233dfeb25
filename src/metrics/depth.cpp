#include "metrics/depth.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"

namespace vit22b::metrics {
namespace {

/// Both as they lie in memory, in double.
struct Pairs {
  at::Tensor predicted, truth;

  Pairs(const at::Tensor& p, const at::Tensor& d) {
    VIT22B_CHECK(p.sizes() == d.sizes(), "depth: predictions and truth have one size");
    const at::Tensor is_there = d.gt(0);
    predicted = p.masked_select(is_there).to(at::kDouble).contiguous();
    truth = d.masked_select(is_there).to(at::kDouble).contiguous();
  }
};

}  // namespace

void DepthSums::add(const DepthSums& other) {
  pixels += other.pixels;
  relative += other.relative;
  relative_squares += other.relative_squares;
  squares += other.squares;
  logs += other.logs;
  log_squares += other.log_squares;
  log10s += other.log10s;
  log1p_squares += other.log1p_squares;
  for (size_t i = 0; i < within.size(); ++i) within[i] += other.within[i];
}

DepthSums sum_depth_errors(const at::Tensor& predicted, const at::Tensor& truth) {
  const Pairs pairs(predicted, truth);
  const auto *p = pairs.predicted.const_data_ptr<double>(),
             *d = pairs.truth.const_data_ptr<double>();
  DepthSums sums;
  sums.pixels = pairs.truth.numel();
  for (int64_t i = 0; i < sums.pixels; ++i) {
    VIT22B_CHECK(p[i] > 0 && std::isfinite(p[i]), "depth: a prediction is ", p[i]);
    const double difference = p[i] - d[i], logs = std::log(p[i]) - std::log(d[i]),
                 log1p = std::log1p(p[i]) - std::log1p(d[i]);
    sums.relative += std::abs(difference) / d[i];
    sums.relative_squares += difference * difference / d[i];
    sums.squares += difference * difference;
    sums.logs += logs;
    sums.log_squares += logs * logs;
    sums.log10s += std::abs(logs);
    sums.log1p_squares += log1p * log1p;
    const double ratio = std::max(p[i] / d[i], d[i] / p[i]);
    for (size_t k = 0; k < kDepthRatios.size(); ++k) sums.within[k] += ratio < kDepthRatios[k];
  }
  sums.log10s /= std::log(10.0);
  return sums;
}

std::vector<Metric> depth_metrics() {
  return {{"abs_rel", "share", Better::kSmaller},
          {"sq_rel", "m", Better::kSmaller},
          {"rmse", "m", Better::kSmaller},
          {"rmse_log", "ln", Better::kSmaller},
          {"log10", "log10", Better::kSmaller},
          {"silog", "100 ln", Better::kSmaller},
          {"delta_1_1", "share", Better::kLarger},
          {"delta_1_25", "share", Better::kLarger},
          {"delta_1_25_2", "share", Better::kLarger},
          {"delta_1_25_3", "share", Better::kLarger},
          {"mse_log", "ln^2", Better::kSmaller}};
}

std::vector<double> depth_errors(const DepthSums& sums) {
  const auto mean = [&](double sum) {
    return sums.pixels == 0 ? std::numeric_limits<double>::quiet_NaN()
                            : sum / static_cast<double>(sums.pixels);
  };
  const double log_mean = mean(sums.logs);
  // A difference of equal numbers may round to below 0.
  const double variance = std::max(0.0, mean(sums.log_squares) - log_mean * log_mean);
  std::vector<double> errors = {mean(sums.relative),
                                mean(sums.relative_squares),
                                std::sqrt(mean(sums.squares)),
                                std::sqrt(mean(sums.log_squares)),
                                mean(sums.log10s),
                                sums.pixels == 0 ? log_mean : 100 * std::sqrt(variance)};
  for (const int64_t within : sums.within) errors.push_back(mean(static_cast<double>(within)));
  errors.push_back(mean(sums.log1p_squares));
  return errors;
}

DepthAlignment median_scale(const at::Tensor& relative, const at::Tensor& truth) {
  const Pairs pairs(relative, truth);
  VIT22B_CHECK(pairs.truth.numel() > 0, "depth: nothing to align to");
  return {at::median(pairs.truth).item<double>() / at::median(pairs.predicted).item<double>(), 0};
}

DepthAlignment scale_and_shift(const at::Tensor& relative, const at::Tensor& truth) {
  const Pairs pairs(relative, truth);
  VIT22B_CHECK(pairs.truth.numel() > 0, "depth: nothing to align to");
  const double mean_x = pairs.predicted.mean().item<double>(),
               mean_d = pairs.truth.mean().item<double>();
  const at::Tensor x = pairs.predicted - mean_x;
  const double variance = x.square().sum().item<double>();
  if (variance == 0) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return {kNan, kNan};
  }
  const double scale = (x * (pairs.truth - mean_d)).sum().item<double>() / variance;
  return {scale, mean_d - scale * mean_x};
}

}  // namespace vit22b::metrics
