#include "kernels/cuda/kernel_ops.h"

#include <c10/core/DeviceGuard.h>

#include "core/error.h"

namespace vit22b::cuda {
namespace {

bool is_bf16(const at::Tensor& tensor) {
  VIT22B_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16,
               "cuda kernels: want float32 or bfloat16");
  return tensor.scalar_type() == at::kBFloat16;
}

// Rows of a tensor [..., N] whose last dim is dense and whose others lie one after the other.
Matrix rows_of(const at::Tensor& tensor) {
  const int64_t dims = tensor.dim();
  VIT22B_CHECK(dims >= 2 && tensor.stride(-1) == 1, "cuda kernels: want dense rows");
  for (int64_t i = 0; i + 2 < dims; ++i)
    VIT22B_CHECK(
        tensor.stride(i) == tensor.stride(i + 1) * tensor.size(i + 1) || tensor.size(i) == 1,
        "cuda kernels: want rows at one distance");
  // The kernels' views are mutable; who reads only never writes through them.
  return {const_cast<void*>(tensor.const_data_ptr()), tensor.stride(-2), is_bf16(tensor)};
}

int64_t num_rows(const at::Tensor& tensor) {
  return tensor.numel() / tensor.size(-1);
}

// [B, T, H, K] as rows of H * K.
Matrix token_rows(const at::Tensor& heads_BTHK) {
  VIT22B_CHECK(heads_BTHK.stride(2) == heads_BTHK.size(3), "cuda kernels: want heads side by side");
  return rows_of(heads_BTHK.flatten(2));
}
Matrix token_rows_of_qkv(const at::Tensor& qkv_BT3HK) {
  VIT22B_CHECK(qkv_BT3HK.stride(2) == qkv_BT3HK.size(3) * qkv_BT3HK.size(4),
               "cuda kernels: want q, k and v side by side");
  return rows_of(qkv_BT3HK.flatten(2));
}

const float* vector(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  VIT22B_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous(),
               "cuda kernels: vectors and gradients are contiguous float32");
  return tensor.const_data_ptr<float>();
}
float* target(const at::Tensor& tensor) {
  return const_cast<float*>(vector(tensor));
}

Norm norm_of(const NormSpec& spec) {
  return {vector(spec.weight), vector(spec.bias), static_cast<float>(spec.eps), spec.is_centred};
}
NormSums sums_of(const vit22b::NormSums& sums) {
  return {target(sums.weight), target(sums.bias)};
}

at::Tensor partial_sums(int64_t columns, const at::Tensor& like) {
  return at::empty({partial_floats(columns)}, like.options().dtype(at::kFloat));
}

Heads heads_of(const at::Tensor& qkv_BT3HK) {
  return {qkv_BT3HK.size(0) * qkv_BT3HK.size(1), qkv_BT3HK.size(3), qkv_BT3HK.size(4)};
}

Rounding rounding_of(const RoundingBits& bits) {
  return {bits.rng.seed(), bits.rng.counter_high(), bits.layout};
}

GatedUnits units_of(const vit22b::GatedUnits& units, Activation form) {
  return {rows_of(units.pre_NM), rows_of(units.gates_NM), vector(units.bias_M), form};
}

Matrix weight_of(const at::Tensor& weight) {
  VIT22B_CHECK(weight.is_contiguous(), "cuda kernels: want a contiguous weight");
  return {weight.mutable_data_ptr(), weight.size(-1), is_bf16(weight)};
}

}  // namespace

at::Tensor KernelOps::norm(const at::Tensor& x_ND, const NormSpec& spec,
                           at::ScalarType type) const {
  const c10::DeviceGuard guard(x_ND.device());
  if (!spec.weight.defined()) return x_ND.to(type);
  at::Tensor y = at::empty(x_ND.sizes(), x_ND.options().dtype(type));
  norm_forward(rows_of(x_ND), num_rows(x_ND), x_ND.size(-1), norm_of(spec), rows_of(y),
               stream(x_ND.device()));
  return y;
}

at::Tensor KernelOps::norm_backward(const at::Tensor& d_y_ND, const at::Tensor& x_ND,
                                    const NormSpec& spec, const at::Tensor& residual_ND,
                                    const vit22b::NormSums& sums) const {
  const c10::DeviceGuard guard(x_ND.device());
  const int64_t columns = x_ND.size(-1);
  at::Tensor d_x = at::empty(x_ND.sizes(), x_ND.options().dtype(at::kFloat));
  const at::Tensor partial = partial_sums(2 * columns, x_ND);
  cuda::norm_backward(rows_of(d_y_ND), rows_of(x_ND), num_rows(x_ND), columns, norm_of(spec),
                      vector(residual_ND), target(d_x), sums_of(sums), target(partial),
                      stream(x_ND.device()));
  return d_x;
}

QkvHeads KernelOps::split_heads(const at::Tensor& qkv_BT3HK, const QkNorms& norms) const {
  const c10::DeviceGuard guard(qkv_BT3HK.device());
  const at::Tensor v = qkv_BT3HK.select(2, 2);
  QkvHeads heads{at::empty(v.sizes(), v.options()), at::empty(v.sizes(), v.options()), v};
  qk_norm_forward(token_rows_of_qkv(qkv_BT3HK), heads_of(qkv_BT3HK), norm_of(norms.q),
                  norm_of(norms.k), token_rows(heads.q), token_rows(heads.k),
                  stream(qkv_BT3HK.device()));
  return heads;
}

void KernelOps::split_heads_backward(const QkvHeads& gradients, const at::Tensor& qkv_BT3HK,
                                     const QkNorms& norms, at::Tensor d_qkv_BT3HK,
                                     const QkNormSums& sums) const {
  const c10::DeviceGuard guard(qkv_BT3HK.device());
  const at::Tensor q = gradients.q.contiguous(), k = gradients.k.contiguous(),
                   v = gradients.v.contiguous();
  const at::Tensor partial = partial_sums(4 * qkv_BT3HK.size(4), qkv_BT3HK);
  qk_norm_backward({token_rows(q), token_rows(k), token_rows(v)}, token_rows_of_qkv(qkv_BT3HK),
                   heads_of(qkv_BT3HK), norm_of(norms.q), norm_of(norms.k),
                   token_rows_of_qkv(d_qkv_BT3HK), sums_of(sums.q), sums_of(sums.k),
                   target(partial), stream(qkv_BT3HK.device()));
}

at::Tensor KernelOps::bias_activation(const at::Tensor& pre_NM, const at::Tensor& bias_M,
                                      Activation form) const {
  const c10::DeviceGuard guard(pre_NM.device());
  at::Tensor activation = at::empty(pre_NM.sizes(), pre_NM.options());
  cuda::bias_activation(rows_of(pre_NM), vector(bias_M), form, num_rows(pre_NM), pre_NM.size(-1),
                        rows_of(activation), stream(pre_NM.device()));
  return activation;
}

at::Tensor KernelOps::activation_backward(const at::Tensor& d_activation_NM,
                                          const at::Tensor& pre_NM, const at::Tensor& bias_M,
                                          Activation form, at::Tensor d_pre_NM,
                                          at::Tensor bias_sums) const {
  const c10::DeviceGuard guard(pre_NM.device());
  at::Tensor activation = at::empty(pre_NM.sizes(), pre_NM.options());
  const at::Tensor partial = partial_sums(pre_NM.size(-1), pre_NM);
  cuda::activation_backward(rows_of(d_activation_NM), rows_of(pre_NM), vector(bias_M), form,
                            num_rows(pre_NM), pre_NM.size(-1), rows_of(d_pre_NM),
                            rows_of(activation), target(bias_sums), target(partial),
                            stream(pre_NM.device()));
  return activation;
}

at::Tensor KernelOps::gated_activation(const vit22b::GatedUnits& units, Activation form) const {
  const at::Tensor& pre = units.pre_NM;
  const c10::DeviceGuard guard(pre.device());
  at::Tensor hidden = at::empty(pre.sizes(), pre.options());
  cuda::gated_activation(units_of(units, form), num_rows(pre), pre.size(-1), rows_of(hidden),
                         stream(pre.device()));
  return hidden;
}

at::Tensor KernelOps::gated_backward(const at::Tensor& d_hidden_NM, const vit22b::GatedUnits& units,
                                     Activation form,
                                     const vit22b::GatedGradients& gradients) const {
  const at::Tensor& pre = units.pre_NM;
  const c10::DeviceGuard guard(pre.device());
  at::Tensor hidden = at::empty(pre.sizes(), pre.options());
  const at::Tensor partial = partial_sums(2 * pre.size(-1), pre);
  cuda::gated_backward(rows_of(d_hidden_NM), units_of(units, form), num_rows(pre), pre.size(-1),
                       {rows_of(gradients.pre_NM), rows_of(gradients.gates_NM),
                        target(gradients.bias_sums_M), target(gradients.gate_sums_M)},
                       rows_of(hidden), target(partial), stream(pre.device()));
  return hidden;
}

at::Tensor KernelOps::add_branch(const at::Tensor& residual_ND, const at::Tensor& branch_ND,
                                 const at::Tensor& scale_D) const {
  const c10::DeviceGuard guard(residual_ND.device());
  at::Tensor out = at::empty(residual_ND.sizes(), residual_ND.options());
  cuda::add_branch(rows_of(residual_ND), rows_of(branch_ND), vector(scale_D), num_rows(out),
                   out.size(-1), rows_of(out), stream(residual_ND.device()));
  return out;
}

at::Tensor KernelOps::branch_backward(const at::Tensor& gradient_ND, const at::Tensor& branch_ND,
                                      const at::Tensor& scale_D, at::ScalarType type,
                                      at::Tensor bias_sums, at::Tensor scale_sums) const {
  const c10::DeviceGuard guard(gradient_ND.device());
  const int64_t columns = gradient_ND.size(-1);
  at::Tensor d_branch = at::empty(gradient_ND.sizes(), gradient_ND.options().dtype(type));
  const at::Tensor partial = partial_sums(2 * columns, gradient_ND);
  cuda::branch_backward(vector(gradient_ND), scale_sums.defined() ? rows_of(branch_ND) : Matrix{},
                        vector(scale_D), num_rows(gradient_ND), columns, rows_of(d_branch),
                        target(bias_sums), target(scale_sums), target(partial),
                        stream(gradient_ND.device()));
  return d_branch;
}

void KernelOps::adamw_update(const vit22b::AdamWNumbers& n, const at::Tensor& scale,
                             const RoundingBits& rounding, const AdamWTensors& t) const {
  const c10::DeviceGuard guard(t.weight.device());
  const AdamWNumbers numbers{static_cast<float>(n.beta1),
                             static_cast<float>(n.beta2),
                             static_cast<float>(1 / std::sqrt(n.correction2)),
                             static_cast<float>(n.eps),
                             static_cast<float>(n.learning_rate / n.correction1),
                             static_cast<float>(1 - n.learning_rate * n.weight_decay)};
  cuda::adamw_update(t.weight.numel(), numbers, vector(scale), vector(t.gradient),
                     weight_of(t.weight), target(t.momentum), target(t.second_moment),
                     rounding_of(rounding), stream(t.weight.device()));
}

std::pair<at::Tensor, at::Tensor> KernelOps::square_sums(const at::Tensor& gradient_RC,
                                                         const at::Tensor& scale) const {
  const c10::DeviceGuard guard(gradient_RC.device());
  const int64_t rows = gradient_RC.size(0), columns = gradient_RC.size(1);
  const SquareSums shape = square_sums_shape(rows, columns);
  const at::Tensor by_row = at::empty({rows, shape.row_parts}, gradient_RC.options()),
                   by_column = at::empty({shape.column_parts, columns}, gradient_RC.options());
  cuda::square_sums(vector(gradient_RC), vector(scale), rows, columns, target(by_row),
                    target(by_column), stream(gradient_RC.device()));
  return {by_row.sum(1), by_column.sum(0)};
}

void KernelOps::adafactor_update(const vit22b::AdafactorNumbers& n, const at::Tensor& scale,
                                 const RoundingBits& rounding, const AdafactorTensors& t) const {
  const c10::DeviceGuard guard(t.weight_RC.device());
  VIT22B_CHECK(t.momentum_RC.scalar_type() == at::kBFloat16 && t.momentum_RC.is_contiguous(),
               "cuda kernels: Adafactor's momentum is contiguous bfloat16");
  const AdafactorNumbers numbers{static_cast<float>(n.beta1), static_cast<float>(n.learning_rate),
                                 static_cast<float>(n.weight_decay)};
  cuda::adafactor_update(t.gradient_RC.size(0), t.gradient_RC.size(1), numbers, vector(scale),
                         vector(t.gradient_RC), vector(t.row_factors_R), vector(t.column_factors_C),
                         weight_of(t.weight_RC), t.momentum_RC.mutable_data_ptr(),
                         rounding_of(rounding), stream(t.weight_RC.device()));
}

}  // namespace vit22b::cuda
