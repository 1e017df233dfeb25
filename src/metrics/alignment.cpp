#include "metrics/alignment.h"

#include <ATen/ATen.h>

#include <cmath>

#include "metrics/undefined.h"

namespace vit22b::metrics {

void LinearCka::add(const at::Tensor& first_BD, const at::Tensor& second_BE) {
  at::Tensor x = first_BD.to(at::kDouble), y = second_BE.to(at::kDouble);
  if (x.size(0) == 0) return;
  if (num_ == 0) {
    shift_1D_ = x.mean(0, /*keepdim=*/true), shift_1E_ = y.mean(0, /*keepdim=*/true);
    sum_D_ = at::zeros_like(shift_1D_[0]), sum_E_ = at::zeros_like(shift_1E_[0]);
    first_DD_ = at::zeros({x.size(1), x.size(1)}, x.options());
    second_EE_ = at::zeros({y.size(1), y.size(1)}, x.options());
    cross_DE_ = at::zeros({x.size(1), y.size(1)}, x.options());
  }
  x = x - shift_1D_, y = y - shift_1E_;
  num_ += x.size(0);
  sum_D_ += x.sum(0), sum_E_ += y.sum(0);
  first_DD_.addmm_(x.t(), x);
  second_EE_.addmm_(y.t(), y);
  cross_DE_.addmm_(x.t(), y);
}

double LinearCka::value() const {
  if (num_ == 0) return kUndefined;
  const auto n = static_cast<double>(num_);
  const at::Tensor first = first_DD_ - at::outer(sum_D_, sum_D_) / n,
                   second = second_EE_ - at::outer(sum_E_, sum_E_) / n,
                   cross = cross_DE_ - at::outer(sum_D_, sum_E_) / n;
  const double scale = first.norm().item<double>() * second.norm().item<double>();
  return scale > 0 ? std::pow(cross.norm().item<double>(), 2) / scale : kUndefined;
}

at::Tensor row_cosines(const at::Tensor& first_BD, const at::Tensor& second_BD) {
  const at::Tensor x = first_BD.to(at::kDouble), y = second_BD.to(at::kDouble);
  return (x * y).sum(-1) / (x.norm(2, -1) * y.norm(2, -1));
}

}  // namespace vit22b::metrics
