#include "metrics/tensor_difference.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

constexpr int64_t kValuesAtATime = int64_t{1} << 18;  // 2 MiB in float64

int64_t count_true(const at::Tensor& mask) {
  return mask.sum().item<int64_t>();
}

}  // namespace

void TensorDifference::add(const at::Tensor& first, const at::Tensor& second) {
  VIT22B_CHECK(first.sizes() == second.sizes(), "a difference of tensors of other shapes");
  const at::Tensor a = first.reshape({-1}), b = second.reshape({-1});
  for (int64_t i = 0; i < a.size(0); i += kValuesAtATime) {
    const int64_t count = std::min(kValuesAtATime, a.size(0) - i);
    add_part(a.narrow(0, i, count).to(at::kDouble), b.narrow(0, i, count).to(at::kDouble));
  }
}

void TensorDifference::add_part(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor nan_a = a.isnan(), nan_b = b.isnan();
  const at::Tensor differs = a.ne(b).logical_and(nan_a.logical_and(nan_b).logical_not());
  num_values_ += a.size(0);
  num_different_ += count_true(differs);
  at::Tensor x = a, delta = a - b;
  const at::Tensor is_finite = delta.isfinite();
  const int64_t num_finite = count_true(is_finite);
  num_finite_ += num_finite;
  if (num_finite < a.size(0)) {
    num_nan_first_ += count_true(nan_a.logical_and(nan_b.logical_not()));
    num_nan_second_ += count_true(nan_b.logical_and(nan_a.logical_not()));
    num_infinite_ += count_true(differs.logical_and(nan_a.logical_or(nan_b).logical_not())
                                    .logical_and(is_finite.logical_not()));
    delta = delta.masked_select(is_finite), x = x.masked_select(is_finite);
  }
  if (num_finite == 0) return;
  max_abs_ = std::max(max_abs_, delta.abs().max().item<double>());
  squares_ += delta.square().sum().item<double>();
  squares_first_ += x.square().sum().item<double>();
}

double TensorDifference::max_abs() const {
  return num_finite_ == 0 && num_different_ > 0 ? kUndefined : max_abs_;
}

double TensorDifference::relative() const {
  if (num_different_ == 0) return 0;
  if (num_finite_ == 0 || squares_first_ == 0) return kUndefined;
  return std::sqrt(squares_ / squares_first_);
}

}  // namespace vit22b::metrics
