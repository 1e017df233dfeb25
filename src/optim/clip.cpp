#include "optim/clip.h"

namespace vit22b {

at::Tensor squared_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return at::zeros({1}, at::kDouble);
  return at::stack(at::_foreach_norm(gradients, 2)).to(at::kDouble).square().sum().reshape({1});
}

at::Tensor clip_scale(const at::Tensor& norm, double clip_norm) {
  const at::Tensor scale =
      clip_norm > 0 ? norm.reciprocal().mul(clip_norm).clamp_max(1) : at::ones_like(norm);
  return at::where(at::isfinite(norm), scale, norm);
}

}  // namespace vit22b
