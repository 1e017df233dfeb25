#include <torch/csrc/autograd/custom_function.h>

#include "kernels/large_tensor.h"
#include "model/engine/engines.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

using cpu::Rows;
using cpu::Tile;

at::Tensor as_rows(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)}).contiguous();
}

at::Tensor forward_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor rows = as_rows(x);
  at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
  const Rows out = fused::rows_of(y);
  const float* b = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  cpu::product(
      rows.size(0), weight.size(0),
      {{.a = fused::rows_of(rows),
        .b = fused::weight_rows(weight, out.storage),
        .is_b_transposed = true,
        .k = weight.size(1)}},
      [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
        cpu::bias_store(tile, b == nullptr ? nullptr : b + column, out.at(row, column));
      },
      cpu::best_arithmetic(out.storage));
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return y.view(shape);
}

// dy W in the dtype of dy.
at::Tensor input_gradient(const at::Tensor& d_y, const at::Tensor& weight) {
  at::Tensor d_x = at::empty({d_y.size(0), weight.size(1)}, d_y.options());
  const Rows out = fused::rows_of(d_x);
  cpu::product(
      d_y.size(0), weight.size(1),
      {{.a = fused::rows_of(d_y),
        .b = fused::weight_rows(weight, out.storage),
        .k = weight.size(0)}},
      [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
        cpu::store_rows(tile, out.at(row, column));
      },
      cpu::best_arithmetic(out.storage));
  return d_x;
}

// dyᵀ x in float32.
at::Tensor weight_gradient(const at::Tensor& d_y, const at::Tensor& x) {
  at::Tensor d_weight = empty_large({d_y.size(1), x.size(1)}, at::kFloat);
  const Rows factor = fused::rows_of(d_y);
  cpu::product_into(
      fused::tile_of(d_weight),
      {{.a = factor, .is_a_transposed = true, .b = fused::rows_of(x), .k = x.size(0)}}, false,
      cpu::best_arithmetic(factor.storage));
  return d_weight;
}

// The sum over rows, in float32.
at::Tensor bias_gradient(const at::Tensor& d_y) {
  at::Tensor sums = at::zeros({d_y.size(1)}, at::kFloat);
  fused::add_row_sums(fused::rows_of(d_y), d_y.size(0), d_y.size(1),
                      sums.mutable_data_ptr<float>());
  return sums;
}

// An absent bias is no input of the graph's node.
bool has_trained_bias(torch::autograd::AutogradContext* context) {
  return context->saved_data["has_bias"].toBool() && context->needs_input_grad(2);
}

struct FusedLinear : torch::autograd::Function<FusedLinear> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = bias.has_value();
    return forward_product(x, weight, bias.value_or(at::Tensor()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor d_y = as_rows(gradients[0]);
    return {
        context->needs_input_grad(0) ? input_gradient(d_y, weight).view(x.sizes()) : at::Tensor(),
        context->needs_input_grad(1) ? weight_gradient(d_y, as_rows(x)) : at::Tensor(),
        has_trained_bias(context) ? bias_gradient(d_y) : at::Tensor()};
  }
};

}  // namespace

at::Tensor fused_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!fused::is_readable(x) || !fused::is_readable(weight) || !weight.is_contiguous())
    return plain_linear(x, weight, bias);
  if (!at::GradMode::is_enabled()) return forward_product(x, weight, bias);
  return FusedLinear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace vit22b
