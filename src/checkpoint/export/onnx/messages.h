#pragma once
#include <optional>
#include <string>

#include "checkpoint/export/onnx/graph.h"
#include "checkpoint/export/onnx/wire.h"

namespace vit22b {

/// Where a tensor's bytes lie outside of a model.
struct OnnxPlace {
  std::string file;
  int64_t offset = 0;
};

/// onnx.proto's messages, and of those that hold tensors' bytes the fields before these.
WireMessage node_message(const OnnxNode& node);
WireMessage port_message(const OnnxPort& port);
/// A TensorProto without its bytes, which a place says or which follow as raw_data.
WireMessage tensor_message(const OnnxTensor& tensor, const std::optional<OnnxPlace>& place);
/// A StringStringEntryProto.
WireMessage entry_message(const std::string& key, const std::string& value);

/// Numbers of fields that a writer of whole models needs.
constexpr int kGraphNodeField = 1, kGraphNameField = 2, kGraphTensorField = 5,
              kGraphInputField = 11, kGraphOutputField = 12, kTensorBytesField = 9;

}  // namespace vit22b
