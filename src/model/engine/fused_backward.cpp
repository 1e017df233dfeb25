#include "model/engine/fused_gradients.h"

namespace vit22b::fused {
namespace {

using cpu::Rows;
using cpu::Term;
using cpu::Tile;

// The gradients of one block. Those of the residual stream, the norms and the weights are float32,
// those that only products read are factors. What the forward pass kept is freed or overwritten as
// it has been used.
class Backward {
 public:
  Backward(SavedBlock& saved, UnitGrads* grads)
      : s_(saved),
        l_(saved.block),
        w_(l_, saved.weights, saved.compute_type),
        g_(w_, grads),
        rows_(saved.x_BTD.numel() / saved.x_BTD.size(-1)),
        arithmetic_(g_.arithmetic()) {}

  at::Tensor run(const at::Tensor& output_gradient_BTD) {
    const at::Tensor g = output_gradient_BTD.to(at::kFloat).reshape({rows_, l_.width}).contiguous();
    return (l_.is_parallel() ? parallel(g) : serial(g)).view(s_.x_BTD.sizes());
  }

 private:
  at::Tensor parallel(const at::Tensor& g) {
    const at::Tensor branch = g_.factor(g_.through_scale(g, l_.scale2, s_.branch2));
    const at::Tensor d_hidden = mlp_backward(branch);
    const at::Tensor d_qkv = attention_part(branch);
    const at::Tensor y = normalised(w_, l_.norm1, s_.x_BTD);
    g_.weight_gradient(l_.fc1, d_hidden, y);
    g_.weight_gradient(l_.qkv, d_qkv, y);
    const at::Tensor d_y =
        input_gradient({input_term(d_hidden, l_.fc1), input_term(d_qkv, l_.qkv)}, y);
    return through_norm(l_.norm1, s_.x_BTD, d_y, g);
  }

  at::Tensor serial(const at::Tensor& g) {
    at::Tensor d_hidden = mlp_backward(g_.factor(g_.through_scale(g, l_.scale2, s_.branch2)));
    at::Tensor y = normalised(w_, l_.norm2, s_.middle);
    g_.weight_gradient(l_.fc1, d_hidden, y);
    const at::Tensor d_y = input_gradient({input_term(d_hidden, l_.fc1)}, y);
    d_hidden.reset();
    y.reset();
    const at::Tensor d_middle = through_norm(l_.norm2, s_.middle, d_y, g);
    const at::Tensor branch = g_.factor(g_.through_scale(d_middle, l_.scale1, s_.branch1));
    g_.column_sums(l_.proj, branch);
    const at::Tensor d_qkv = attention_part(branch);
    y = normalised(w_, l_.norm1, s_.x_BTD);
    g_.weight_gradient(l_.qkv, d_qkv, y);
    return through_norm(l_.norm1, s_.x_BTD, input_gradient({input_term(d_qkv, l_.qkv)}, y),
                        d_middle);
  }

  // From the MLP's output gradient to that of its pre-activation.
  at::Tensor mlp_backward(const at::Tensor& branch) {
    HiddenGradient gradient(g_, l_, s_.pre_activation);
    cpu::product(rows_, l_.hidden, {input_term(branch, l_.fc2)}, gradient.epilogue(), arithmetic_);
    at::Tensor d_hidden = gradient.finish();
    g_.weight_gradient(l_.fc2, branch, s_.pre_activation);
    g_.column_sums(l_.fc2, branch);
    s_.pre_activation.reset();
    return d_hidden;
  }

  // From the attention's output gradient to that of q, k and v as the projection gave them.
  at::Tensor attention_part(const at::Tensor& branch) {
    g_.weight_gradient(l_.proj, branch, s_.attended);
    const at::Tensor d_attended = g_.empty(rows_, l_.width);
    const Rows out = rows_of(d_attended);
    cpu::product(
        rows_, l_.width, {input_term(branch, l_.proj)},
        [&](const Tile& tile, int64_t row, int64_t column, int64_t) {
          cpu::store_rows(tile, out.at(row, column));
        },
        arithmetic_);
    return g_.through_attention(s_, d_attended);
  }

  // The sum of the terms in float32, in the memory of `used` where it fits.
  at::Tensor input_gradient(const std::vector<Term>& terms, const at::Tensor& used) const {
    at::Tensor d_input = used.scalar_type() == at::kFloat ? used : at::empty_like(used, at::kFloat);
    cpu::product_into(tile_of(d_input), terms, false, arithmetic_);
    return d_input;
  }

  // d_output · W: the gradient of a linear layer's input.
  Term input_term(const at::Tensor& d_output, const LinearSpec& linear) const {
    return {.a = rows_of(d_output), .b = w_.matrix(linear), .k = linear.out};
  }

  // norm's gradient in place of d_y, plus the residual's.
  at::Tensor through_norm(const std::string& name, const at::Tensor& x, const at::Tensor& d_y,
                          const at::Tensor& residual_gradient) {
    const Tile all = tile_of(d_y), residual = tile_of(residual_gradient);
    const int64_t d = l_.width;
    norm_rows_backward(rows_of(x), all, w_.norm(name), g_.target(name, ".weight").data,
                       g_.target(name, ".bias").data, [&](int64_t first, int64_t count) {
                         const Rows rows{all.data + first * d, d};
                         cpu::bias_scale_residual({residual.data + first * d, d, count, d}, nullptr,
                                                  nullptr, rows, {}, rows);
                       });
    return d_y;
  }

  SavedBlock& s_;
  const BlockSpec& l_;
  const BlockWeights w_;
  const BlockGradients g_;
  const int64_t rows_;
  const cpu::Arithmetic arithmetic_;
};

}  // namespace

at::Tensor backward(SavedBlock& saved, const at::Tensor& output_gradient_BTD, UnitGrads* grads) {
  return Backward(saved, grads).run(output_gradient_BTD);
}

}  // namespace vit22b::fused
