#include "transfer/mahalanobis.h"

#include <ATen/ATen.h>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int64_t kRowsAtATime = 4096;
constexpr double kRidge = 1e-6;  // of the mean variance: features that never vary have none

at::Tensor whitening(const at::Tensor& centred_ND) {
  at::Tensor covariance =
      centred_ND.t().matmul(centred_ND) / static_cast<double>(centred_ND.size(0));
  const double ridge = kRidge * covariance.diagonal().mean().item<double>();
  if (!(ridge > 0))
    throw DataError("mahalanobis: no sample differs from its class's mean; want several a class");
  covariance.diagonal().add_(ridge);
  const at::Tensor factor = at::linalg_cholesky(covariance);
  return at::linalg_solve_triangular(factor, at::eye(factor.size(0), factor.options()),
                                     /*upper=*/false)
      .t()
      .contiguous();
}

}  // namespace

Mahalanobis::Mahalanobis(const at::Tensor& features_ND, const at::Tensor& labels_N) {
  if (features_ND.size(0) == 0) throw DataError("mahalanobis: no features to fit");
  const at::Tensor x = features_ND.to(at::kDouble);
  const auto [labels, class_N] = at::_unique(labels_N, /*sorted=*/true, /*return_inverse=*/true);
  const int64_t num_classes = labels.size(0);
  const at::Tensor sums =
      at::zeros({num_classes, x.size(1)}, at::kDouble).index_add_(0, class_N, x);
  const at::Tensor counts = at::bincount(class_N, {}, num_classes).to(at::kDouble);
  const at::Tensor means = sums / counts.unsqueeze(1);
  whitening_DD_ = whitening(x - means.index_select(0, class_N));
  means_CD_ = means.matmul(whitening_DD_);
  const at::Tensor mean = x.mean(0, /*keepdim=*/true);
  whitening_of_all_DD_ = whitening(x - mean);
  mean_1D_ = mean.matmul(whitening_of_all_DD_);
}

Mahalanobis::Distances Mahalanobis::distances(const at::Tensor& features_MD) const {
  if (features_MD.size(1) != whitening_DD_.size(0))
    throw DataError("mahalanobis: features are ", features_MD.size(1),
                    " wide, those that were fitted ", whitening_DD_.size(0));
  std::vector<at::Tensor> nearest, relative;
  for (int64_t first = 0; first < features_MD.size(0); first += kRowsAtATime) {
    const int64_t count = std::min(kRowsAtATime, features_MD.size(0) - first);
    const at::Tensor x = features_MD.narrow(0, first, count).to(at::kDouble);
    const at::Tensor y = x.matmul(whitening_DD_);
    // |y - m|^2 = |y|^2 - 2 y.m + |m|^2
    const at::Tensor distances = y.square().sum(1, /*keepdim=*/true) - 2 * y.matmul(means_CD_.t()) +
                                 means_CD_.square().sum(1).unsqueeze(0);
    nearest.push_back(distances.amin(1));
    const at::Tensor of_all = (x.matmul(whitening_of_all_DD_) - mean_1D_).square().sum(1);
    relative.push_back(nearest.back() - of_all);
  }
  return {at::cat(nearest), at::cat(relative)};
}

}  // namespace vit22b
