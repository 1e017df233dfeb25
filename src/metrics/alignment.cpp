#include "metrics/alignment.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/error.h"
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

CkaLayer::CkaLayer(const at::Tensor& rows_ND) : rows_ND_(rows_ND.to(at::kDouble)) {
  rows_ND_ = rows_ND_ - rows_ND_.mean(0, /*keepdim=*/true);
  squares_N_ = rows_ND_.square().sum(1);
  if (rows_ND_.size(0) <= rows_ND_.size(1)) kernel_NN_ = rows_ND_.mm(rows_ND_.t());
}

// Of centred rows the sums over the kernels, without their diagonals, are known: sum_j x_i x_j =
// 0, so each row's is -|x_i|^2. What is left of equation 4 needs no N x N matrix.
double CkaLayer::dependence(const CkaLayer& other) const {
  VIT22B_CHECK(squares_N_.size(0) == other.squares_N_.size(0), "CKA of other samples");
  const auto n = static_cast<double>(squares_N_.size(0));
  if (n < 4) return kUndefined;
  const bool has_kernels = kernel_NN_.defined() && other.kernel_NN_.defined();
  const at::Tensor products =
      has_kernels ? kernel_NN_ * other.kernel_NN_ : rows_ND_.t().mm(other.rows_ND_).square();
  const double whole = products.sum().item<double>(),
               diagonal = squares_N_.dot(other.squares_N_).item<double>(),
               ends = squares_N_.sum().item<double>() * other.squares_N_.sum().item<double>();
  return (whole - diagonal + ends / ((n - 1) * (n - 2)) - 2 * diagonal / (n - 2)) / (n * (n - 3));
}

double unbiased_cka(double of_both, double of_first, double of_second) {
  // Of noise the estimate of a layer with itself may be below 0 too.
  return of_first > 0 && of_second > 0 ? of_both / std::sqrt(of_first * of_second) : kUndefined;
}

double unbiased_cka(const CkaLayer& first, const CkaLayer& second) {
  return unbiased_cka(first.dependence(second), first.dependence(first), second.dependence(second));
}

at::Tensor row_cosines(const at::Tensor& first_BD, const at::Tensor& second_BD) {
  const at::Tensor x = first_BD.to(at::kDouble), y = second_BD.to(at::kDouble);
  return (x * y).sum(-1) / (x.norm(2, -1) * y.norm(2, -1));
}

}  // namespace vit22b::metrics
