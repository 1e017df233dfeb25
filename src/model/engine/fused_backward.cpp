#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/tasks.h"
#include "model/engine/fused_block.h"

namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Term;
using cpu::Tile;

// Where a parameter's gradient goes.
struct Target {
  float* data = nullptr;  // null: it does not train
  int64_t columns = 0;
};

// The gradients of one block. Those of the residual stream, the norms and the weights are float32,
// those that only products read are factors. What the forward pass kept is freed or overwritten as
// it has been used.
class Backward {
 public:
  Backward(SavedBlock& saved, UnitGrads* grads)
      : s_(saved),
        grads_(grads),
        l_(*saved.config, saved.weights),
        w_(l_, saved.weights),
        rows_(saved.x_BTD.numel() / saved.x_BTD.size(-1)),
        arithmetic_(cpu::best_arithmetic(rows_of(saved.x_BTD).storage)) {
    if (grads_ != nullptr && grads_->is_overwrite)
      for (auto& [name, tensor] : grads_->tensors)
        if (tensor.dim() == 1) tensor.zero_();  // vectors are summed into, matrices overwritten
  }

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    const at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({rows_, l_.width}).contiguous();
    return (l_.is_parallel ? parallel(g) : serial(g)).view(s_.x_BTD.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& g) {
    const at::Tensor branch = factor(through_scale(g, l_.scale2, s_.branch2));
    const at::Tensor d_hidden = mlp_backward(branch);
    const at::Tensor d_qkv = attention_part(branch);
    const at::Tensor y = normalised(w_, l_.norm1, s_.x_BTD);
    weight_gradient(l_.fc1, d_hidden, y);
    weight_gradient(l_.qkv, d_qkv, y);
    const at::Tensor d_y =
        input_gradient({input_term(d_hidden, l_.fc1), input_term(d_qkv, l_.qkv)}, y);
    return through_norm(l_.norm1, s_.x_BTD, d_y, g);
  }

  at::Tensor serial(const at::Tensor& g) {
    const at::Tensor d_hidden = mlp_backward(factor(through_scale(g, l_.scale2, s_.branch2)));
    at::Tensor y = normalised(w_, l_.norm2, s_.middle);
    weight_gradient(l_.fc1, d_hidden, y);
    const at::Tensor d_middle =
        through_norm(l_.norm2, s_.middle, input_gradient({input_term(d_hidden, l_.fc1)}, y), g);
    const at::Tensor branch = factor(through_scale(d_middle, l_.scale1, s_.branch1));
    column_sums(l_.proj, branch);
    const at::Tensor d_qkv = attention_part(branch);
    y = normalised(w_, l_.norm1, s_.x_BTD);
    weight_gradient(l_.qkv, d_qkv, y);
    return through_norm(l_.norm1, s_.x_BTD, input_gradient({input_term(d_qkv, l_.qkv)}, y),
                        d_middle);
  }

  // From the MLP's output gradient to that of its pre-activation. The activation is computed again
  // on the way, over the pre-activation's memory.
  at::Tensor mlp_backward(const at::Tensor& branch) {
    at::Tensor d_hidden = empty(l_.hidden);
    const Rows kept = rows_of(s_.pre_activation), out = rows_of(d_hidden);
    const Target bias = target(l_.fc1.bias);
    std::vector<float> sums(
        bias.data != nullptr ? static_cast<size_t>(cpu::max_row_shares(rows_) * l_.hidden) : 0);
    cpu::product(
        rows_, l_.hidden, {input_term(branch, l_.fc2)},
        [&](const Tile& tile, int64_t row, int64_t column, int64_t share) {
          const Rows activation = kept.at(row, column);
          cpu::gelu_backward(tile, activation, l_.gelu, activation, out.at(row, column),
                             sums.empty() ? nullptr : sums.data() + share * l_.hidden + column);
        },
        arithmetic_);
    if (bias.data != nullptr)
      cpu::add_column_sums({sums.data(), l_.hidden}, cpu::max_row_shares(rows_), l_.hidden,
                           bias.data + l_.fc1.bias_first);
    weight_gradient(l_.fc2, branch, s_.pre_activation);
    column_sums(l_.fc2, branch);
    s_.pre_activation.reset();
    return d_hidden;
  }

  // From the attention's output gradient to that of q, k and v as the projection gave them.
  at::Tensor attention_part(const at::Tensor& branch) {
    weight_gradient(l_.proj, branch, s_.attended);
    const at::Tensor d_attended = empty(l_.width);
    const Rows out = rows_of(d_attended);
    cpu::product(
        rows_, l_.width, {input_term(branch, l_.proj)},
        [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
          cpu::store_rows(tile, out.at(row, column));
        },
        arithmetic_);
    at::Tensor d_qkv = empty(3 * l_.width);
    cpu::attention_backward(w_.attention(s_.x_BTD, s_.qkv), rows_of(s_.attended),
                            s_.lse_BHT.const_data_ptr<float>(), rows_of(d_attended), rows_of(d_qkv),
                            {target(l_.q_norm, ".weight").data, target(l_.q_norm, ".bias").data,
                             target(l_.k_norm, ".weight").data, target(l_.k_norm, ".bias").data});
    column_sums(l_.qkv, d_qkv);
    s_.qkv.reset();
    s_.attended.reset();
    return d_qkv;
  }

  at::Tensor empty(int64_t columns) const {
    return empty_factor(rows_, columns, rows_of(s_.x_BTD).storage);
  }
  at::Tensor factor(const at::Tensor& gradient) const {
    return gradient.to(arithmetic_ == cpu::Arithmetic::kHalf ? at::kBFloat16 : at::kFloat);
  }

  // The sum of the terms in float32, in the memory of `used` where it fits.
  at::Tensor input_gradient(const std::vector<Term>& terms, const at::Tensor& used) const {
    at::Tensor d_input = used.scalar_type() == at::kFloat ? used : at::empty_like(used, at::kFloat);
    cpu::product_into(tile_of(d_input), terms, false, arithmetic_);
    return d_input;
  }

  Target target(const std::string& name, const char* suffix = "") const {
    if (grads_ == nullptr || name.empty()) return {};
    const auto it = grads_->tensors.find(name + suffix);
    if (it == grads_->tensors.end()) return {};
    return {it->second.mutable_data_ptr<float>(), it->second.size(-1)};
  }

  // d_output · W: the gradient of a linear layer's input.
  Term input_term(const at::Tensor& d_output, const Linear& linear) const {
    return {.a = rows_of(d_output), .b = w_.matrix(linear), .k = linear.out};
  }

  // d_outputᵀ · input: the gradient of a linear layer's weight.
  void weight_gradient(const Linear& linear, const at::Tensor& d_output, const at::Tensor& input) {
    const Target weight = target(linear.weight);
    if (weight.data == nullptr) return;
    cpu::product_into(
        {weight.data + linear.first_row * weight.columns, weight.columns, linear.out, linear.in},
        {{.a = rows_of(d_output), .is_a_transposed = true, .b = rows_of(input), .k = rows_}},
        !grads_->is_overwrite, arithmetic_);
  }

  // The gradient of a linear layer's bias.
  void column_sums(const Linear& linear, const at::Tensor& d_output) {
    const Target bias = target(linear.bias);
    if (bias.data == nullptr) return;
    const Rows all = rows_of(d_output);
    // A thread sums whole lines of columns.
    constexpr int64_t kColumns = 64;
    cpu::for_each_task((linear.out + kColumns - 1) / kColumns, [&](int64_t i) {
      cpu::add_column_sums(all.at(0, i * kColumns), rows_,
                           std::min(kColumns, linear.out - i * kColumns),
                           bias.data + linear.bias_first + i * kColumns);
    });
  }

  // Through LayerScale; the gradient itself where the block has none.
  at::Tensor through_scale(const at::Tensor& g, const std::string& name, const at::Tensor& branch) {
    if (name.empty()) return g;
    const Target scale = target(name);
    if (scale.data == nullptr) return g * w_.tensors().at(name);
    std::vector<float> sums(static_cast<size_t>(l_.width), 0.0F);
    at::Tensor scaled = g.clone();
    cpu::scale_backward(tile_of(scaled), w_.vector(name), rows_of(branch), sums.data());
    cpu::add_column_sums({sums.data(), l_.width}, 1, l_.width, scale.data);
    return scaled;
  }

  // norm's gradient in place of d_y, plus the residual's.
  at::Tensor through_norm(const std::string& name, const at::Tensor& x, const at::Tensor& d_y,
                          const at::Tensor& residual_gradient) {
    const Target weight = target(name, ".weight"), bias = target(name, ".bias");
    const int64_t shares = std::min<int64_t>(at::get_num_threads(), rows_), d = l_.width;
    std::vector<float> sums(static_cast<size_t>(2 * shares * d), 0.0F);
    const Rows from = rows_of(x);
    const Tile all = tile_of(d_y), residual = tile_of(residual_gradient);
    const cpu::NormWeights norm = w_.norm(name);
    cpu::for_each_task(shares, [&](int64_t i) {
      const int64_t first = i * rows_ / shares, count = (i + 1) * rows_ / shares - first;
      const Tile part{all.data + first * d, d, count, d};
      float* own = sums.data() + 2 * i * d;
      cpu::norm_backward(from.at(first, 0), part, norm, 1, weight.data != nullptr ? own : nullptr,
                         bias.data != nullptr ? own + d : nullptr);
      const Rows rows{part.data, d};
      cpu::bias_scale_residual({residual.data + first * d, d, count, d}, nullptr, nullptr, rows, {},
                               rows);
    });
    if (weight.data != nullptr) cpu::add_column_sums({sums.data(), 2 * d}, shares, d, weight.data);
    if (bias.data != nullptr) cpu::add_column_sums({sums.data() + d, 2 * d}, shares, d, bias.data);
    return d_y;
  }

  SavedBlock& s_;
  UnitGrads* grads_;
  const BlockLayout l_;
  const BlockWeights w_;
  const int64_t rows_;
  const cpu::Arithmetic arithmetic_;
};

}  // namespace

at::Tensor backward(SavedBlock& saved, const at::Tensor& output_gradient_BTD, UnitGrads* grads) {
  return Backward(saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
