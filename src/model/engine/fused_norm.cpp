#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels/cpu/tasks.h"
#include "model/engine/engines.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace fused {
namespace {

// Rows normalised at a time by one thread.
constexpr int64_t kNormGrain = 16;

}  // namespace

void norm_rows(const cpu::Rows& from, int64_t rows, int64_t columns, const cpu::NormWeights& norm,
               const cpu::Rows& to) {
  at::parallel_for(0, rows, kNormGrain, [&](int64_t first, int64_t last) {
    cpu::norm_forward(from.at(first, 0), last - first, columns, norm, 1, to.at(first, 0));
  });
}

void norm_rows_backward(const cpu::Rows& from, const cpu::Tile& gradient,
                        const cpu::NormWeights& norm, float* weight_sums, float* bias_sums,
                        const std::function<void(int64_t first, int64_t count)>& then) {
  // Each share sums for itself; the shares are then added in order.
  const int64_t d = gradient.columns, rows = gradient.rows;
  const int64_t shares = std::min<int64_t>(at::get_num_threads(), rows);
  std::vector<float> sums(static_cast<size_t>(2 * shares * d), 0.0F);
  cpu::for_each_task(shares, [&](int64_t i) {
    const int64_t first = i * rows / shares, count = (i + 1) * rows / shares - first;
    float* own = sums.data() + 2 * i * d;
    cpu::norm_backward(
        from.at(first, 0), {gradient.data + first * gradient.stride, gradient.stride, count, d},
        norm, 1, weight_sums != nullptr ? own : nullptr, bias_sums != nullptr ? own + d : nullptr);
    if (then) then(first, count);
  });
  if (weight_sums != nullptr) cpu::add_column_sums({sums.data(), 2 * d}, shares, d, weight_sums);
  if (bias_sums != nullptr) cpu::add_column_sums({sums.data() + d, 2 * d}, shares, d, bias_sums);
}

}  // namespace fused

namespace {

cpu::NormWeights weights_of(const NormSpec& norm) {
  return {norm.weight.const_data_ptr<float>(),
          norm.bias.defined() ? norm.bias.const_data_ptr<float>() : nullptr,
          static_cast<float>(norm.eps), norm.is_centred};
}

at::Tensor forward_norm(const at::Tensor& x, const NormSpec& norm) {
  const at::Tensor rows = x.contiguous();
  at::Tensor y = at::empty_like(rows);
  fused::norm_rows(fused::rows_of(rows), x.numel() / x.size(-1), x.size(-1), weights_of(norm),
                   fused::rows_of(y));
  return y;
}

struct FusedNorm : torch::autograd::Function<FusedNorm> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            double eps, bool is_centred) {
    context->save_for_backward({x, weight});
    context->saved_data["eps"] = eps;
    context->saved_data["is_centred"] = is_centred;
    context->saved_data["has_bias"] = bias.has_value();
    return forward_norm(x, {weight, bias.value_or(at::Tensor()), eps, is_centred});
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor x = saved[0].contiguous(), &weight = saved[1];
    const bool has_bias = context->saved_data["has_bias"].toBool();
    // The gradient is overwritten: a copy, in float32.
    at::Tensor d_x = gradients[0].to(at::kFloat, false, /*copy=*/true).contiguous();
    at::Tensor d_weight = at::zeros_like(weight);
    at::Tensor d_bias = has_bias ? at::zeros_like(weight) : at::Tensor();
    fused::norm_rows_backward(fused::rows_of(x), fused::tile_of(d_x),
                              weights_of({weight,
                                          {},
                                          context->saved_data["eps"].toDouble(),
                                          context->saved_data["is_centred"].toBool()}),
                              d_weight.mutable_data_ptr<float>(),
                              has_bias ? d_bias.mutable_data_ptr<float>() : nullptr);
    return {d_x.to(x.scalar_type()), d_weight, d_bias, at::Tensor(), at::Tensor()};
  }
};

bool is_taken(const at::Tensor& x, const NormSpec& norm) {
  const auto is_plain = [](const at::Tensor& v) {
    return !v.defined() || (v.scalar_type() == at::kFloat && v.is_contiguous());
  };
  return fused::is_readable(x) && x.numel() > 0 && is_plain(norm.weight) && is_plain(norm.bias);
}

}  // namespace

at::Tensor fused_norm(const at::Tensor& x, const NormSpec& norm) {
  if (!is_taken(x, norm)) return plain_norm(x, norm);
  if (!at::GradMode::is_enabled()) return forward_norm(x, norm);
  return FusedNorm::apply(x, norm.weight,
                          norm.bias.defined() ? std::optional(norm.bias) : std::nullopt, norm.eps,
                          norm.is_centred);
}

}  // namespace vit22b
