#include "metrics/spectral_norm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

/// Orthonormal directions, a row each, float64.
class Directions {
 public:
  Directions(int64_t most, int64_t length) : rows_(at::empty({most, length}, at::kDouble)) {}
  /// Takes out what lies in the directions before; twice, for the first time leaves rounding.
  at::Tensor without_earlier(at::Tensor x) const {
    const at::Tensor earlier = rows_.narrow(0, 0, count_);
    for (int i = 0; i < 2; ++i) x = x - earlier.t().mv(earlier.mv(x));
    return x;
  }
  void add(const at::Tensor& unit) { rows_[count_++].copy_(unit); }
  at::Tensor last() const { return rows_[count_ - 1]; }

 private:
  at::Tensor rows_;
  int64_t count_ = 0;
};

/// A direction that no matrix of weights is built around.
at::Tensor first_direction(int64_t length) {
  constexpr double kGolden = 0.6180339887498949;
  const at::Tensor x = (at::arange(1, length + 1, at::kDouble) * kGolden).frac() - 0.3;
  return x / x.norm();
}

/// The largest singular value of a bidiagonal matrix.
double largest_of(const std::vector<double>& diagonal, const std::vector<double>& above) {
  const auto n = std::ssize(diagonal);
  at::Tensor b = at::diag(at::tensor(diagonal, at::kDouble));
  if (n > 1)
    b += at::diag(
        at::tensor(std::vector<double>(above.begin(), above.begin() + n - 1), at::kDouble), 1);
  return at::linalg_svdvals(b)[0].item<double>();
}

}  // namespace

double spectral_norm(const at::Tensor& matrix) {
  constexpr double kSettled = 1e-8;
  constexpr int64_t kMostSteps = 300, kStepsALook = 6;
  if (matrix.numel() == 0) return 0;
  // The first direction lies on the shorter side: its length is the most steps that there are.
  const at::Tensor matrix_MN = matrix.size(0) < matrix.size(1) ? matrix.t() : matrix;
  const double scale = matrix_MN.abs().max().item<double>();
  if (!std::isfinite(scale)) return kUndefined;
  if (scale == 0) return 0;
  const int64_t m = matrix_MN.size(0), n = matrix_MN.size(1);
  const int64_t most = std::min({m, n, kMostSteps});
  const auto product = [](const at::Tensor& by, const at::Tensor& x) {
    return by.mv(x.to(by.scalar_type())).to(at::kDouble);
  };
  Directions left(most, m), right(most, n);
  right.add(first_direction(n));
  std::vector<double> diagonal, above;
  double value = 0;
  for (int64_t step = 0; step < most; ++step) {
    const at::Tensor u = left.without_earlier(product(matrix_MN, right.last()));
    diagonal.push_back(u.norm().item<double>());
    const bool is_last = diagonal.back() <= 1e-12 * scale || step + 1 == most;
    // A look costs as much as some steps.
    if (is_last || step % kStepsALook == kStepsALook - 1) {
      const double before = value;
      value = largest_of(diagonal, above);
      if (is_last || value - before < kSettled * value) return value;
    }
    left.add(u / diagonal.back());
    const at::Tensor v = right.without_earlier(product(matrix_MN.t(), left.last()));
    above.push_back(v.norm().item<double>());
    if (above.back() <= 1e-12 * scale) return largest_of(diagonal, above);
    right.add(v / above.back());
  }
  return value;
}

}  // namespace vit22b::metrics
