#include "checkpoint/export/onnx/ops.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace vit22b {
namespace {

constexpr double kTanhCubic = 0.044715;  // of GELU's tanh form (Hendrycks & Gimpel 2016)

OnnxAttribute axis(int64_t dim) {
  return {"axis", dim};
}

OnnxValue gelu_erf(const OnnxOps& ops, const OnnxValue& x) {
  const OnnxValue erf = ops.of("Erf", ops.div(x, ops.real(std::numbers::sqrt2)));
  return ops.scaled(ops.mul(x, ops.shifted(erf, 1)), 0.5);
}

OnnxValue gelu_tanh(const OnnxOps& ops, const OnnxValue& x) {
  const OnnxValue cube = ops.mul(ops.mul(x, x), x);
  const OnnxValue inner = ops.add(x, ops.scaled(cube, kTanhCubic));
  const OnnxValue tanh = ops.of("Tanh", ops.scaled(inner, std::sqrt(2 * std::numbers::inv_pi)));
  return ops.mul(ops.scaled(x, 0.5), ops.shifted(tanh, 1));
}

}  // namespace

OnnxValue OnnxOps::concat(const std::vector<OnnxValue>& parts, int64_t dim) const {
  return parts.size() == 1 ? parts.front() : graph_->add("Concat", parts, {axis(dim)});
}

std::vector<OnnxValue> OnnxOps::split(const OnnxValue& x, const std::vector<int64_t>& sizes,
                                      int64_t dim) const {
  if (sizes.size() == 1) return {x};
  return graph_->add_of(static_cast<int64_t>(sizes.size()), "Split", {x, numbers(sizes)},
                        {axis(dim)});
}

OnnxValue OnnxOps::slice(const OnnxValue& x, int64_t dim, int64_t first, int64_t end) const {
  if (end < 0) end = std::numeric_limits<int64_t>::max();
  return graph_->add("Slice", {x, numbers({first}), numbers({end}), numbers({dim})});
}

OnnxValue OnnxOps::select(const OnnxValue& x, int64_t dim, int64_t index) const {
  return graph_->add("Gather", {x, graph_->number(index)}, {axis(dim)});
}

OnnxValue OnnxOps::expand(const OnnxValue& x, const std::vector<OnnxValue>& sizes) const {
  return of("Expand", x, concat(sizes, 0));
}

OnnxValue OnnxOps::mean(const OnnxValue& x, int64_t dim, bool keeps_dim) const {
  return graph_->add("ReduceMean", {x, numbers({dim})},
                     {{"keepdims", static_cast<int64_t>(keeps_dim)}});
}

OnnxValue OnnxOps::softmax(const OnnxValue& x) const {
  return graph_->add("Softmax", {x}, {axis(-1)});
}

OnnxValue OnnxOps::activate(const OnnxValue& x, Activation activation) const {
  switch (activation) {
    case Activation::kGelu:
      return gelu_erf(*this, x);
    case Activation::kGeluTanh:
      return gelu_tanh(*this, x);
    case Activation::kQuickGelu:
    case Activation::kSilu:
      break;
  }
  const double slope = logistic_slope(activation);
  return mul(x, of("Sigmoid", slope == 1 ? x : scaled(x, slope)));
}

OnnxValue OnnxOps::size(const OnnxValue& x, int64_t dim) const {
  return of("Gather", of("Shape", x), numbers({dim}));
}

OnnxValue OnnxOps::as_float(const OnnxValue& x) const {
  return graph_->add("Cast", {x}, {{"to", static_cast<int64_t>(OnnxType::kFloat)}});
}

OnnxValue OnnxOps::indices(const OnnxValue& size) const {
  const OnnxValue end = of("Squeeze", size, numbers({0}));
  return as_float(graph_->add("Range", {graph_->number(0), end, graph_->number(1)}));
}

}  // namespace vit22b
