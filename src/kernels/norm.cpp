#include "kernels/norm.h"

namespace vit22b {
namespace {

// Norm weights stay float32; a bf16 row is normalised in float32 and rounded once.
at::Tensor in_float(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? x : x.to(at::kFloat);
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return at::rms_norm(in_float(x), {x.size(-1)}, weight, eps).to(x.scalar_type());
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  return at::layer_norm(in_float(x), {x.size(-1)}, weight, bias, eps).to(x.scalar_type());
}

namespace {

// The least divisor is torch.nn.functional.normalize's.
at::Tensor length(const at::Tensor& x) {
  return x.norm(2, -1, /*keepdim=*/true).clamp_min(1e-12);
}

}  // namespace

at::Tensor unit_length(const at::Tensor& x) {
  return x / length(x);
}

at::Tensor unit_length_gradient(const at::Tensor& x, const at::Tensor& dy) {
  const at::Tensor y = unit_length(x);
  return (dy - y * (y * dy).sum(-1, /*keepdim=*/true)) / length(x);
}

}  // namespace vit22b
