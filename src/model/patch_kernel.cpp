#include "model/patch_kernel.h"

namespace vit22b {

at::Tensor kernel_for_patch(const at::Tensor& kernel_DCPP, int64_t patch) {
  const int64_t old = kernel_DCPP.size(-1);
  if (old == patch) return kernel_DCPP;
  const at::Tensor basis = at::eye(old * old, kernel_DCPP.options()).view({old * old, 1, old, old});
  const at::Tensor resize =  // [new values, old values]
      at::_upsample_bicubic2d_aa(basis, {patch, patch}, /*align_corners=*/false).flatten(1).t();
  return kernel_DCPP.flatten(2).matmul(at::linalg_pinv(resize)).unflatten(2, {patch, patch});
}

at::Tensor kernel_for_channels(const at::Tensor& kernel_DCPP, int64_t channels) {
  const int64_t old = kernel_DCPP.size(1);
  if (old == channels) return kernel_DCPP;
  if (channels == 1) return kernel_DCPP.sum(1, /*keepdim=*/true);
  const int64_t times = (channels + old - 1) / old;
  const at::Tensor repeated = kernel_DCPP.repeat({1, times, 1, 1}).slice(1, 0, channels);
  return repeated * (static_cast<double>(old) / static_cast<double>(channels));
}

}  // namespace vit22b
