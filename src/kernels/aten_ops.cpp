#include "kernels/activation.h"
#include "kernels/device_ops.h"
#include "kernels/norm.h"
#include "kernels/rounding.h"

namespace vit22b {
namespace {

at::Tensor in_float(const at::Tensor& x) {
  return x.to(at::kFloat);
}

at::Tensor apply_norm(const at::Tensor& x, const NormSpec& spec) {
  if (!spec.weight.defined()) return x;
  if (spec.is_centred) return layer_norm(x, spec.weight, spec.bias, spec.eps);
  const at::Tensor y = rms_norm(in_float(x), spec.weight, spec.eps);
  return (spec.bias.defined() ? y + spec.bias : y).to(x.scalar_type());
}

void add_sums(const at::Tensor& sums, const at::Tensor& by_row) {
  // Also for an undefined target: nothing trains there.
  if (sums.defined()) at::Tensor(sums).add_(by_row.reshape({-1, sums.numel()}).sum(0));
}

// The gradient of x in float32; adds those of the norm's vectors.
at::Tensor norm_gradient(const at::Tensor& d_y, const at::Tensor& x, const NormSpec& spec,
                         const NormSums& sums) {
  at::Tensor g = in_float(d_y);
  if (!spec.weight.defined()) return g;
  at::Tensor centred = in_float(x);
  if (spec.is_centred) centred = centred - centred.mean(-1, true);
  const at::Tensor scale = (centred.square().mean(-1, true) + spec.eps).rsqrt();
  const at::Tensor unit = centred * scale, weighted = g * spec.weight;
  add_sums(sums.weight, g * unit);
  add_sums(sums.bias, g);
  at::Tensor d_unit = weighted - unit * (weighted * unit).mean(-1, true);
  if (spec.is_centred) d_unit = d_unit - weighted.mean(-1, true);
  return d_unit * scale;
}

at::Tensor with_bias(const at::Tensor& pre, const at::Tensor& bias) {
  return bias.defined() ? in_float(pre) + bias : in_float(pre);
}

class PlainFunction : public ReplayedFunction {
 public:
  explicit PlainFunction(std::function<at::Tensor(const at::Tensor&)> function)
      : function_(std::move(function)) {}
  at::Tensor operator()(const at::Tensor& x) override { return function_(x); }

 private:
  std::function<at::Tensor(const at::Tensor&)> function_;
};

/// Every operation spelt out in ATen's own.
class AtenOps : public DeviceOps {
 public:
  const char* name() const override { return "aten"; }

  at::Tensor norm(const at::Tensor& x_ND, const NormSpec& spec,
                  at::ScalarType type) const override {
    return apply_norm(in_float(x_ND), spec).to(type);
  }
  at::Tensor norm_backward(const at::Tensor& d_y_ND, const at::Tensor& x_ND, const NormSpec& spec,
                           const at::Tensor& residual_ND, const NormSums& sums) const override {
    return residual_ND + norm_gradient(d_y_ND, x_ND, spec, sums);
  }

  QkvHeads split_heads(const at::Tensor& qkv_BT3HK, const QkNorms& norms) const override {
    return {apply_norm(qkv_BT3HK.select(2, 0), norms.q).contiguous(),
            apply_norm(qkv_BT3HK.select(2, 1), norms.k).contiguous(), qkv_BT3HK.select(2, 2)};
  }
  void split_heads_backward(const QkvHeads& gradients, const at::Tensor& qkv_BT3HK,
                            const QkNorms& norms, at::Tensor d_qkv_BT3HK,
                            const QkNormSums& sums) const override {
    d_qkv_BT3HK.select(2, 0).copy_(
        norm_gradient(gradients.q, qkv_BT3HK.select(2, 0), norms.q, sums.q));
    d_qkv_BT3HK.select(2, 1).copy_(
        norm_gradient(gradients.k, qkv_BT3HK.select(2, 1), norms.k, sums.k));
    d_qkv_BT3HK.select(2, 2).copy_(gradients.v);
  }

  at::Tensor bias_activation(const at::Tensor& pre_NM, const at::Tensor& bias_M,
                             Activation form) const override {
    return activate(with_bias(pre_NM, bias_M), form).to(pre_NM.scalar_type());
  }
  at::Tensor activation_backward(const at::Tensor& d_activation_NM, const at::Tensor& pre_NM,
                                 const at::Tensor& bias_M, Activation form, at::Tensor d_pre_NM,
                                 at::Tensor bias_sums) const override {
    const at::Tensor x = with_bias(pre_NM, bias_M);
    const at::Tensor d_x = activate_backward(in_float(d_activation_NM), x, form);
    d_pre_NM.copy_(d_x);
    add_sums(bias_sums, d_x);
    return activate(x, form).to(pre_NM.scalar_type());
  }

  at::Tensor gated_activation(const GatedUnits& units, Activation form) const override {
    return (activate(in_float(units.gates_NM), form) * with_bias(units.pre_NM, units.bias_M))
        .to(units.pre_NM.scalar_type());
  }
  at::Tensor gated_backward(const at::Tensor& d_hidden_NM, const GatedUnits& units, Activation form,
                            const GatedGradients& gradients) const override {
    const at::Tensor x = with_bias(units.pre_NM, units.bias_M), gates = in_float(units.gates_NM),
                     d = in_float(d_hidden_NM), factors = activate(gates, form);
    const at::Tensor d_x = d * factors, d_gates = activate_backward(d * x, gates, form);
    at::Tensor(gradients.pre_NM).copy_(d_x);
    at::Tensor(gradients.gates_NM).copy_(d_gates);
    add_sums(gradients.bias_sums_M, d_x);
    add_sums(gradients.gate_sums_M, d_gates);
    return (factors * x).to(units.pre_NM.scalar_type());
  }

  at::Tensor add_branch(const at::Tensor& residual_ND, const at::Tensor& branch_ND,
                        const at::Tensor& scale_D) const override {
    const at::Tensor branch = in_float(branch_ND);
    return (in_float(residual_ND) + (scale_D.defined() ? branch * scale_D : branch))
        .to(residual_ND.scalar_type());
  }
  at::Tensor branch_backward(const at::Tensor& gradient_ND, const at::Tensor& branch_ND,
                             const at::Tensor& scale_D, at::ScalarType type, at::Tensor bias_sums,
                             at::Tensor scale_sums) const override {
    if (scale_sums.defined()) add_sums(scale_sums, gradient_ND * in_float(branch_ND));
    const at::Tensor d_branch = scale_D.defined() ? gradient_ND * scale_D : gradient_ND;
    add_sums(bias_sums, d_branch);
    return d_branch.to(type);
  }

  void weight_gradient(const at::Tensor& d_output_NM, const at::Tensor& input_ND, bool is_overwrite,
                       at::Tensor gradient_MD) const override {
    gradient_MD.addmm_(in_float(d_output_NM).t(), in_float(input_ND), is_overwrite ? 0 : 1);
  }

  void adamw_update(const AdamWNumbers& n, const at::Tensor& scale, const RoundingBits& rounding,
                    const AdamWTensors& t) const override {
    if (!is_finite(scale)) return;
    const at::Tensor g = t.gradient * scale;
    t.momentum.lerp_(g, 1 - n.beta1);
    t.second_moment.mul_(n.beta2).addcmul_(g, g, 1 - n.beta2);
    const at::Tensor root = (t.second_moment.sqrt() / std::sqrt(n.correction2)).add_(n.eps);
    store_weights(in_float(t.weight)
                      .mul(1 - n.learning_rate * n.weight_decay)
                      .addcdiv_(t.momentum, root, -n.learning_rate / n.correction1),
                  rounding, t.weight);
  }

  std::pair<at::Tensor, at::Tensor> square_sums(const at::Tensor& gradient_RC,
                                                const at::Tensor& scale) const override {
    const at::Tensor square = (gradient_RC * scale).square();
    return {square.sum(1), square.sum(0)};
  }
  void adafactor_update(const AdafactorNumbers& n, const at::Tensor& scale,
                        const RoundingBits& rounding, const AdafactorTensors& t) const override {
    if (!is_finite(scale)) return;
    at::Tensor update = t.gradient_RC * scale;
    if (t.row_factors_R.defined()) update = update * t.row_factors_R.unsqueeze(1);
    if (t.column_factors_C.defined()) update = update * t.column_factors_C;
    t.momentum_RC.copy_(in_float(t.momentum_RC).mul_(n.beta1).add_(update, 1 - n.beta1));
    const at::Tensor weight = in_float(t.weight_RC);
    const at::Tensor step = in_float(t.momentum_RC).add(weight, n.weight_decay);
    store_weights(weight.sub(step, n.learning_rate), rounding, t.weight_RC);
  }

  std::unique_ptr<ReplayedFunction> replayed(
      const std::function<at::Tensor(const at::Tensor&)>& function,
      const at::Tensor&) const override {
    return std::make_unique<PlainFunction>(function);
  }
  void report_waiting(bool) const override {}

 private:
  // .item() waits for the device: kernels decide this there.
  static bool is_finite(const at::Tensor& scale) { return std::isfinite(scale.item<double>()); }

  static void store_weights(const at::Tensor& updated, const RoundingBits& bits,
                            const at::Tensor& weight) {
    weight.copy_(weight.scalar_type() == at::kFloat ? updated
                                                    : round_stochastically(updated, bits));
  }
};

}  // namespace

std::unique_ptr<DeviceOps> make_aten_ops() {
  return std::make_unique<AtenOps>();
}

}  // namespace vit22b
