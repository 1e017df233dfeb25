#include "metrics/patch_norms.h"

#include <ATen/ATen.h>

#include <cmath>

#include "metrics/undefined.h"

namespace vit22b::metrics {

void PatchNorms::add(const at::Tensor& norms_BN) {
  if (norms_BN.numel() == 0) return;
  const at::Tensor norms = norms_BN.to(at::kDouble);
  const at::Tensor medians = at::quantile(norms, 0.5, /*dim=*/1, /*keepdim=*/true);
  const at::Tensor is_artefact = norms.gt(medians * kArtefactRatio);
  num_patches_ += norms.numel();
  num_artefacts_ += is_artefact.sum().item<int64_t>();
  num_pictures_with_ += is_artefact.any(1).sum().item<int64_t>();
  const double ratio = (norms / medians).max().item<double>();
  if (std::isnan(ratio) || ratio > largest_ratio_) largest_ratio_ = ratio;
}

double PatchNorms::artefact_share() const {
  return num_patches_ == 0
             ? kUndefined
             : static_cast<double>(num_artefacts_) / static_cast<double>(num_patches_);
}

double PatchNorms::largest_ratio() const {
  return num_patches_ == 0 || !std::isfinite(largest_ratio_) ? kUndefined : largest_ratio_;
}

}  // namespace vit22b::metrics
