#include "metrics/temperature.h"

#include <algorithm>
#include <cmath>

#include "metrics/answers.h"

namespace vit22b::metrics {

void ScaledNll::add(const ScaledNll& other) {
  nll += other.nll;
  slope += other.slope;
  curvature += other.curvature;
}

ScaledNll scaled_nll(const at::Tensor& logits_BC, const at::Tensor& labels_B, double beta) {
  ScaledNll sum;
  const int64_t rows = rows_at_a_time(logits_BC.size(1));
  for (int64_t first = 0; first < logits_BC.size(0); first += rows) {
    const int64_t count = std::min(rows, logits_BC.size(0) - first);
    const at::Tensor z = logits_BC.narrow(0, first, count).to(at::kDouble);
    const at::Tensor own = z.gather(1, labels_B.narrow(0, first, count).unsqueeze(1)).squeeze(1);
    const at::Tensor scaled = z * beta, p = at::softmax(scaled, 1), mean = (p * z).sum(1);
    const at::Tensor centred = z - mean.unsqueeze(1);
    sum.add({(at::logsumexp(scaled, 1) - beta * own).sum().item<double>(),
             (mean - own).sum().item<double>(), (p * centred.square()).sum().item<double>()});
  }
  return sum;
}

Temperature fit_temperature(const std::function<ScaledNll(double beta)>& sums) {
  constexpr double kLeast = 1e-3, kMost = 1e3, kStep = 1e-9;
  constexpr int kMostPasses = 100;
  // The least loss lies between them: the slope rises with beta.
  double low = kLeast, high = kMost, beta = 1;
  for (int pass = 0; pass < kMostPasses; ++pass) {
    const ScaledNll at = sums(beta);
    (at.slope > 0 ? high : low) = beta;
    double next = beta - at.slope / at.curvature;
    // Outside of what is known, or nowhere (no curvature is left): halve the range of magnitudes.
    if (!(next > low && next < high)) next = std::sqrt(low * high);
    if (std::abs(next - beta) <= kStep * beta) break;
    beta = next;
  }
  const bool is_at_an_end = beta < kLeast * 1.01 || beta > kMost / 1.01;
  return {1 / beta, !is_at_an_end};
}

}  // namespace vit22b::metrics
