#include "model/layers.h"

#include "dist/ring_linear.h"
#include "kernels/activation.h"

namespace vit22b {
namespace {

// The norm of a row whose features lie on several ranks: one sum (two with centring) a token.
at::Tensor norm_over_model(const Mesh& mesh, const at::Tensor& x, const NormSpec& norm,
                           int64_t whole_width) {
  const at::Tensor values = x.to(at::kFloat);
  const auto width = static_cast<double>(whole_width);
  at::Tensor centred = values;
  if (norm.is_centred)
    centred = values - sum_over_model(mesh, values.sum(-1, /*keepdim=*/true)) / width;
  const at::Tensor mean_square =
      sum_over_model(mesh, centred.square().sum(-1, /*keepdim=*/true)) / width;
  at::Tensor y = centred * (mean_square + norm.eps).rsqrt() * norm.weight;
  if (norm.bias.defined()) y = y + norm.bias;
  return y.to(x.scalar_type());
}

// A layer's rows of a tensor; all of them where the layer does not say how many it has.
at::Tensor rows_of(const at::Tensor& tensor, int64_t first, int64_t count) {
  return tensor.defined() && count > 0 ? tensor.narrow(0, first, count) : tensor;
}

}  // namespace

at::Tensor Layers::find(const std::string& name) const {
  const auto it = weights_.find(name);
  return it == weights_.end() ? at::Tensor() : it->second;
}

at::Tensor Layers::bias(const LinearSpec& linear) const {
  return rows_of(find(linear.bias), linear.bias_first, linear.out);
}

at::Tensor Layers::with_bias(const LinearSpec& linear, const at::Tensor& y) const {
  const at::Tensor values = bias(linear);
  return values.defined() ? y + values.to(y.scalar_type()) : y;
}

// Adapters are of models that no model axis cuts.
at::Tensor Layers::with_adapter(const LinearSpec& linear, const at::Tensor& x,
                                const at::Tensor& y) const {
  const AdapterSpec& adapter = linear.adapter;
  if (!adapter.exists()) return y;
  const at::Tensor inner = functions_.linear(x, weight(adapter.a), {}) * adapter.scale;
  return y + functions_.linear(inner, rows_of(weight(adapter.b), linear.first_row, linear.out), {});
}

// Ensembles are of models that no model axis cuts.
at::Tensor Layers::of_members(const LinearSpec& linear, const at::Tensor& own,
                              const at::Tensor& x) const {
  const FastWeights& fast = linear.fast;
  // A member's vector for all of its images and tokens.
  const auto vectors = [&](const std::string& name) {
    std::vector<int64_t> shape(static_cast<size_t>(x.dim()) + 1, 1);
    shape.front() = fast.members;
    shape.back() = -1;
    return weight(name).to(x.scalar_type()).view(shape);
  };
  const at::Tensor x_EBTD = x.unflatten(0, {fast.members, -1}) * vectors(fast.in);
  const at::Tensor y_EBTD =
      functions_.linear(x_EBTD, own, {}) * vectors(fast.out) + vectors(fast.bias);
  return with_bias(linear, y_EBTD.flatten(0, 1));
}

at::Tensor Layers::rows(const std::string& name, const at::Tensor& x) const {
  return rows(LinearSpec{.weight = name + ".weight", .bias = name + ".bias"}, x);
}

at::Tensor Layers::rows_of_halves(const std::string& name, const at::Tensor& x) const {
  if (is_alone()) return rows(name, x);
  const std::vector<at::Tensor> halves = x.chunk(2, -1),
                                weights = weight(name + ".weight").chunk(2, 1);
  return row_linear(mesh_, halves[0], weights[0].contiguous()) +
         row_linear(mesh_, halves[1], weights[1].contiguous()) + weight(name + ".bias");
}

at::Tensor Layers::columns(const std::string& name, const at::Tensor& x) const {
  return columns(LinearSpec{.weight = name + ".weight", .bias = name + ".bias"}, x);
}

at::Tensor Layers::rows(const LinearSpec& linear, const at::Tensor& x) const {
  const at::Tensor own = rows_of(weight(linear.weight), linear.first_row, linear.out);
  if (linear.fast.exists()) return of_members(linear, own, x);
  if (is_alone()) return with_adapter(linear, x, functions_.linear(x, own, bias(linear)));
  return with_bias(linear, row_linear(mesh_, x, own));
}

at::Tensor Layers::columns(const LinearSpec& linear, const at::Tensor& x) const {
  if (linear.fast.exists()) return of_members(linear, weight(linear.weight), x);
  if (is_alone())
    return with_adapter(linear, x, functions_.linear(x, weight(linear.weight), find(linear.bias)));
  // This rank's features of the output.
  return with_bias({.bias = linear.bias}, column_linear(mesh_, {{x, weight(linear.weight)}}));
}

at::Tensor Layers::columns(const LinearSpec& linear1, const at::Tensor& x1,
                           const LinearSpec& linear2, const at::Tensor& x2) const {
  if (is_alone()) return columns(linear1, x1) + columns(linear2, x2);
  return with_bias(
      {.bias = linear2.bias},
      with_bias({.bias = linear1.bias}, column_linear(mesh_, {{x1, weight(linear1.weight)},
                                                              {x2, weight(linear2.weight)}})));
}

NormSpec Layers::values_of(const BlockNorm& norm) const {
  return {.weight = weight(norm.name + ".weight"),
          .bias = norm.form.has_bias ? weight(norm.name + ".bias") : at::Tensor(),
          .eps = norm.form.eps,
          .is_centred = norm.form.is_centred};
}

at::Tensor Layers::norm(const BlockNorm& norm, const at::Tensor& x) const {
  if (is_alone()) return head_norm(norm, x);
  return norm_over_model(mesh_, x, values_of(norm), norm.whole);
}

at::Tensor Layers::head_norm(const BlockNorm& norm, const at::Tensor& x) const {
  return functions_.norm(x, values_of(norm));
}

at::Tensor Layers::mlp(const std::string& prefix, const at::Tensor& x,
                       Activation activation) const {
  return columns(prefix + "fc2", activate(rows(prefix + "fc1", x), activation));
}

at::Tensor Layers::scaled(const std::string& name, const at::Tensor& x) const {
  const at::Tensor scale = find(name);
  return scale.defined() ? x * scale.to(x.scalar_type()) : x;
}

at::Tensor split_heads(const at::Tensor& x_BTD, int64_t num_heads) {
  return x_BTD.unflatten(-1, {num_heads, x_BTD.size(-1) / num_heads}).transpose(1, 2);
}

at::Tensor merge_heads(const at::Tensor& x_BHTK) {
  return x_BHTK.transpose(1, 2).flatten(2);
}

}  // namespace vit22b
