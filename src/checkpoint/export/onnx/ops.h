#pragma once
#include <string>
#include <vector>

#include "checkpoint/export/onnx/graph.h"
#include "kernels/activation_kind.h"

namespace vit22b {

/// ONNX's operators (opset 18) by the names that the engines' lines have, as nodes of a graph,
/// which outlives it.
class OnnxOps {
 public:
  explicit OnnxOps(OnnxGraph& graph) : graph_(&graph) {}

  OnnxGraph& graph() const { return *graph_; }
  OnnxValue real(double value) const { return graph_->real(value); }
  OnnxValue numbers(const std::vector<int64_t>& values) const { return graph_->numbers(values); }

  OnnxValue add(const OnnxValue& a, const OnnxValue& b) const { return of("Add", a, b); }
  OnnxValue sub(const OnnxValue& a, const OnnxValue& b) const { return of("Sub", a, b); }
  OnnxValue mul(const OnnxValue& a, const OnnxValue& b) const { return of("Mul", a, b); }
  OnnxValue div(const OnnxValue& a, const OnnxValue& b) const { return of("Div", a, b); }
  OnnxValue matmul(const OnnxValue& a, const OnnxValue& b) const { return of("MatMul", a, b); }
  OnnxValue scaled(const OnnxValue& a, double factor) const { return mul(a, real(factor)); }
  OnnxValue shifted(const OnnxValue& a, double by) const { return add(a, real(by)); }
  OnnxValue of(const std::string& op, const OnnxValue& x) const { return graph_->add(op, {x}); }
  OnnxValue of(const std::string& op, const OnnxValue& a, const OnnxValue& b) const {
    return graph_->add(op, {a, b});
  }

  /// A shape of numbers: 0 is the side as it is, -1 what is left.
  OnnxValue reshape(const OnnxValue& x, const std::vector<int64_t>& shape) const {
    return of("Reshape", x, numbers(shape));
  }
  OnnxValue transpose(const OnnxValue& x, const std::vector<int64_t>& order) const {
    return graph_->add("Transpose", {x}, {{"perm", order}});
  }
  OnnxValue unsqueeze(const OnnxValue& x, int64_t dim) const {
    return of("Unsqueeze", x, numbers({dim}));
  }
  OnnxValue concat(const std::vector<OnnxValue>& parts, int64_t dim) const;
  std::vector<OnnxValue> split(const OnnxValue& x, const std::vector<int64_t>& sizes,
                               int64_t dim) const;
  /// From `first` to before `end`; to the last where `end` is -1.
  OnnxValue slice(const OnnxValue& x, int64_t dim, int64_t first, int64_t end = -1) const;
  /// One of a side, which is gone then.
  OnnxValue select(const OnnxValue& x, int64_t dim, int64_t index) const;
  /// x repeated along sides of 1, as many times as a list of sizes says.
  OnnxValue expand(const OnnxValue& x, const std::vector<OnnxValue>& sizes) const;
  OnnxValue mean(const OnnxValue& x, int64_t dim, bool keeps_dim) const;
  OnnxValue softmax(const OnnxValue& x) const;
  OnnxValue activate(const OnnxValue& x, Activation activation) const;

  /// The size of a side, a list of one.
  OnnxValue size(const OnnxValue& x, int64_t dim) const;
  OnnxValue as_float(const OnnxValue& x) const;
  /// 0, 1, 2, … below a size: [size] float32.
  OnnxValue indices(const OnnxValue& size) const;

 private:
  OnnxGraph* graph_;
};

}  // namespace vit22b
