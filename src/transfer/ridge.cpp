#include "transfer/ridge.h"

#include "core/rng.h"
#include "core/text.h"

namespace vit22b {
namespace {

constexpr double kBiasFeature = 100;  // big_vision fewshot_lsr.py BIAS_CONSTANT
constexpr double kDeviationFloor = 1e-5;

at::Tensor standardised(const RidgeHead& head, const at::Tensor& features_ND) {
  const at::Tensor x = (features_ND.to(at::kDouble) - head.mean_D) / head.deviation_D;
  return at::constant_pad_nd(x, {0, 1}, kBiasFeature);
}

}  // namespace

at::Tensor RidgeHead::scores(const at::Tensor& features_ND) const {
  return at::mm(standardised(*this, features_ND), weights_EC);
}

RidgeHead fit_ridge(const at::Tensor& features_ND, const at::Tensor& labels_N, int64_t num_classes,
                    double l2) {
  RidgeHead head;
  const at::Tensor features = features_ND.to(at::kDouble);
  head.mean_D = features.mean(0);
  head.deviation_D = features.std(0, /*unbiased=*/false) + kDeviationFloor;
  const at::Tensor x = standardised(head, features);
  const at::Tensor y =
      2 * labels_N.unsqueeze(1).eq(at::arange(num_classes, at::kLong)).to(at::kDouble) - 1;
  // The smaller of the two normal equations: over features, or over samples.
  const bool is_tall = x.size(0) >= x.size(1);
  at::Tensor gram = is_tall ? at::mm(x.t(), x) : at::mm(x, x.t());
  gram.diagonal().add_(l2);
  const at::Tensor factor = at::linalg_cholesky(gram);
  head.weights_EC = is_tall ? at::cholesky_solve(at::mm(x.t(), y), factor)
                            : at::mm(x.t(), at::cholesky_solve(y, factor));
  return head;
}

at::Tensor draw_shots(const at::Tensor& labels_N, int64_t num_classes, int64_t shots,
                      uint64_t seed) {
  std::vector<at::Tensor> drawn;
  for (int64_t c = 0; c < num_classes; ++c) {
    const at::Tensor of_class = labels_N.eq(c).nonzero().flatten();
    const int64_t n = of_class.size(0);
    if (n == 0) continue;
    const RandomPermutation order(static_cast<uint64_t>(n), seed, concat("shots of class ", c));
    for (int64_t i = 0; i < std::min(shots, n); ++i)
      drawn.push_back(of_class[static_cast<int64_t>(order(static_cast<uint64_t>(i)))]);
  }
  return at::stack(drawn);
}

}  // namespace vit22b
