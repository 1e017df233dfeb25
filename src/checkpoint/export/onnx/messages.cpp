#include "checkpoint/export/onnx/messages.h"

namespace vit22b {
namespace {

// AttributeProto.AttributeType.
constexpr int64_t kAttributeReal = 1, kAttributeNumber = 2, kAttributeNumbers = 7;
constexpr int64_t kExternal = 1;  // TensorProto.DataLocation

WireMessage attribute_message(const OnnxAttribute& attribute) {
  constexpr int kType = 20;
  WireMessage message;
  message.text(1, attribute.name);
  if (const auto* number = std::get_if<int64_t>(&attribute.value))
    message.number(3, *number).number(kType, kAttributeNumber);
  else if (const auto* real = std::get_if<double>(&attribute.value))
    message.real(2, static_cast<float>(*real)).number(kType, kAttributeReal);
  else
    message.numbers(8, std::get<std::vector<int64_t>>(attribute.value))
        .number(kType, kAttributeNumbers);
  return message;
}

WireMessage dim_message(const OnnxDim& dim) {
  WireMessage message;
  if (const auto* size = std::get_if<int64_t>(&dim)) return message.number(1, *size);
  return message.text(2, std::get<std::string>(dim));
}

}  // namespace

WireMessage node_message(const OnnxNode& node) {
  WireMessage message;
  for (const std::string& input : node.inputs) message.text(1, input);
  for (const std::string& output : node.outputs) message.text(2, output);
  message.text(3, node.name).text(4, node.op);
  for (const OnnxAttribute& attribute : node.attributes)
    message.message(5, attribute_message(attribute));
  return message;
}

WireMessage port_message(const OnnxPort& port) {
  WireMessage shape, tensor, type, message;
  for (const OnnxDim& dim : port.dims) shape.message(1, dim_message(dim));
  tensor.number(1, static_cast<int64_t>(OnnxType::kFloat)).message(2, shape);
  return message.text(1, port.name).message(2, type.message(1, tensor));
}

WireMessage tensor_message(const OnnxTensor& tensor, const std::optional<OnnxPlace>& place) {
  WireMessage message;
  message.numbers(1, tensor.shape).number(2, static_cast<int64_t>(tensor.type));
  message.text(8, tensor.name);
  if (!place) return message;
  message.message(13, entry_message("location", place->file))
      .message(13, entry_message("offset", std::to_string(place->offset)))
      .message(13, entry_message("length", std::to_string(tensor.size_bytes())))
      .number(14, kExternal);
  return message;
}

WireMessage entry_message(const std::string& key, const std::string& value) {
  WireMessage message;
  return message.text(1, key).text(2, value);
}

}  // namespace vit22b
