#include "checkpoint/export/onnx/graph.h"

#include "core/checked.h"
#include "core/error.h"

namespace vit22b {
namespace {

// Of TensorProto's float and int64.
int64_t element_bytes(OnnxType type) {
  return type == OnnxType::kFloat ? 4 : 8;
}

}  // namespace

int64_t OnnxTensor::size_bytes() const {
  const auto bytes = checked_size_bytes(shape, element_bytes(type));
  if (!bytes) throw UsageError("ONNX: tensor '", name, "' has more bytes than can be counted");
  return *bytes;
}

OnnxValue OnnxGraph::add(const std::string& op, const std::vector<OnnxValue>& inputs,
                         OnnxAttributes attributes) {
  return add_of(1, op, inputs, std::move(attributes)).front();
}

std::vector<OnnxValue> OnnxGraph::add_of(int64_t num_outputs, const std::string& op,
                                         const std::vector<OnnxValue>& inputs,
                                         OnnxAttributes attributes) {
  const std::string kind = concat(scope_, "/", op);
  OnnxNode node{concat(kind, "_", count_[kind]++), op, {}, {}, std::move(attributes)};
  node.inputs.reserve(inputs.size());
  for (const OnnxValue& input : inputs) node.inputs.push_back(input.name);
  std::vector<OnnxValue> outputs;
  for (int64_t i = 0; i < num_outputs; ++i) {
    node.outputs.push_back(num_outputs == 1 ? node.name : concat(node.name, ".", i));
    outputs.push_back({node.outputs.back()});
  }
  nodes_.push_back(std::move(node));
  return outputs;
}

OnnxValue OnnxGraph::tensor(OnnxTensor tensor) {
  VIT22B_CHECK(names_.insert(tensor.name).second, "ONNX: two tensors '", tensor.name, "'");
  tensors_.push_back(std::move(tensor));
  return {tensors_.back().name};
}

OnnxValue OnnxGraph::shared(OnnxTensor tensor) {
  if (names_.count(tensor.name) != 0) return {tensor.name};
  return this->tensor(std::move(tensor));
}

OnnxValue OnnxGraph::numbers(const std::vector<int64_t>& values) {
  std::string name = "numbers";
  for (const int64_t value : values) name += concat("/", value);
  return shared({name, {std::ssize(values)}, OnnxType::kInt64, [values] {
                   return at::tensor(values, at::kLong);
                 }});
}

OnnxValue OnnxGraph::number(int64_t value) {
  return shared({concat("number/", value), {}, OnnxType::kInt64, [value] {
                   return at::scalar_tensor(value, at::kLong);
                 }});
}

OnnxValue OnnxGraph::real(double value) {
  return shared({concat("real/", formatted("%.17g", value)), {}, OnnxType::kFloat, [value] {
                   return at::scalar_tensor(value, at::kFloat);
                 }});
}

OnnxValue OnnxGraph::input(OnnxPort port) {
  names_.insert(port.name);
  inputs_.push_back(std::move(port));
  return {inputs_.back().name};
}

void OnnxGraph::output(const OnnxValue& value, OnnxPort port) {
  nodes_.push_back({port.name, "Identity", {value.name}, {port.name}, {}});
  outputs_.push_back(std::move(port));
}

}  // namespace vit22b
