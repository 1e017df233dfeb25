#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace vit22b {

/// A value in a graph, by its name; an input of a node that has no name is left out.
struct OnnxValue {
  std::string name;
};

/// ONNX's TensorProto.DataType.
enum class OnnxType { kFloat = 1, kInt64 = 7 };

/// A node's setting.
struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, double, std::vector<int64_t>> value;
};
using OnnxAttributes = std::vector<OnnxAttribute>;

struct OnnxNode {
  std::string name, op;
  std::vector<std::string> inputs, outputs;
  OnnxAttributes attributes;
};

/// A tensor that a graph holds: its values are asked for when it is written, and not kept.
struct OnnxTensor {
  std::string name;
  std::vector<int64_t> shape;
  OnnxType type = OnnxType::kFloat;
  std::function<at::Tensor()> value;   ///< of that shape and type
  std::vector<std::string> from = {};  ///< parameters that it is made of; none for a constant

  /// throws  UsageError for a shape whose bytes no int64 counts
  int64_t size_bytes() const;
};

/// One side: a number, or the name of one that calls may choose.
using OnnxDim = std::variant<int64_t, std::string>;

/// An input or output of a graph, float32.
struct OnnxPort {
  std::string name;
  std::vector<OnnxDim> dims;
};

/// A graph of ONNX's operators, as it is being made: nodes in an order in which they can run.
class OnnxGraph {
 public:
  /// Names of nodes that follow begin so.
  void enter(std::string scope) { scope_ = std::move(scope); }

  /// Adds a node of one output, or of several.
  OnnxValue add(const std::string& op, const std::vector<OnnxValue>& inputs,
                OnnxAttributes attributes = {});
  std::vector<OnnxValue> add_of(int64_t num_outputs, const std::string& op,
                                const std::vector<OnnxValue>& inputs,
                                OnnxAttributes attributes = {});

  /// Adds a tensor, whose name is its own.
  OnnxValue tensor(OnnxTensor tensor);
  /// The same of one that may be there already, equal.
  OnnxValue shared(OnnxTensor tensor);
  /// Constants; equal ones are one. A list, or a single number without sides.
  OnnxValue numbers(const std::vector<int64_t>& values);
  OnnxValue number(int64_t value);
  OnnxValue real(double value);

  OnnxValue input(OnnxPort port);
  /// Gives a value out, under a name of its own.
  void output(const OnnxValue& value, OnnxPort port);

  const std::vector<OnnxNode>& nodes() const { return nodes_; }
  const std::vector<OnnxTensor>& tensors() const { return tensors_; }
  const std::vector<OnnxPort>& inputs() const { return inputs_; }
  const std::vector<OnnxPort>& outputs() const { return outputs_; }

 private:
  std::string scope_;
  std::map<std::string, int64_t> count_;  ///< of nodes, by scope and operator
  std::set<std::string> names_;           ///< of tensors and ports
  std::vector<OnnxNode> nodes_;
  std::vector<OnnxTensor> tensors_;
  std::vector<OnnxPort> inputs_, outputs_;
};

}  // namespace vit22b
