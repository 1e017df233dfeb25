#include "checkpoint/export/onnx/model_file.h"

#include <utf8proc.h>

#include <algorithm>

#include "checkpoint/export/onnx/messages.h"
#include "core/checked.h"
#include "core/device.h"
#include "core/error.h"
#include "core/printable.h"
#include "core/signals.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kIrVersion = 8, kOperators = 18;
constexpr int64_t kSmallTensor = 1024;  // as onnx.save_model's size_threshold
constexpr int64_t kPage = 4096;         // of files that are mapped

using Places = std::vector<std::optional<OnnxPlace>>;

int64_t bytes_of_all(const std::vector<OnnxTensor>& tensors) {
  std::optional<int64_t> bytes = 0;
  for (const OnnxTensor& tensor : tensors) {
    bytes = checked_add(*bytes, tensor.size_bytes());
    if (!bytes) throw UsageError("ONNX: the tensors have more bytes than can be counted");
  }
  return *bytes;
}

int64_t next_page(int64_t offset) {
  return (offset + kPage - 1) / kPage * kPage;
}

/// Where each tensor lies: inside, or in the file beside.
Places places_of(const std::vector<OnnxTensor>& tensors, const fs::path& path,
                 int64_t most_inside) {
  Places places(tensors.size());
  if (bytes_of_all(tensors) <= most_inside) return places;
  int64_t offset = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t bytes = tensors[i].size_bytes();
    if (bytes < kSmallTensor) continue;
    places[i] = OnnxPlace{onnx_data_path(path).filename().string(), offset};
    offset = next_page(offset + bytes);
  }
  return places;
}

bool is_beside(const Places& places) {
  return std::any_of(places.begin(), places.end(), [](const auto& place) { return !!place; });
}

void write_values(AtomicFile& file, const OnnxTensor& tensor) {
  const at::Tensor values = tensor.value().contiguous();
  const at::ScalarType type = tensor.type == OnnxType::kFloat ? at::kFloat : at::kLong;
  VIT22B_CHECK(values.scalar_type() == type && values.sizes() == tensor.shape, "ONNX: tensor '",
               tensor.name, "' is not as the graph says");
  file.write({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
}

void write_data(FileOps& ops, const fs::path& path, const std::vector<OnnxTensor>& tensors,
                const Places& places) {
  AtomicFile file(ops, path);
  int64_t offset = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!places[i]) continue;
    const auto gap = static_cast<size_t>(places[i]->offset - offset);
    file.write(std::string(gap, '\0'));
    write_values(file, tensors[i]);
    offset = places[i]->offset + tensors[i].size_bytes();
  }
  check_is_free(path);  // writing takes long
  file.commit();
}

/// Of a graph all but its tensors.
WireMessage graph_message(const OnnxModel& model) {
  WireMessage message;
  for (const OnnxNode& node : model.graph.nodes())
    message.message(kGraphNodeField, node_message(node));
  message.text(kGraphNameField, model.name);
  for (const OnnxPort& port : model.graph.inputs())
    message.message(kGraphInputField, port_message(port));
  for (const OnnxPort& port : model.graph.outputs())
    message.message(kGraphOutputField, port_message(port));
  return message;
}

/// Of a ModelProto all but its graph.
WireMessage model_message(const OnnxModel& model) {
  WireMessage message, operators;
  message.number(1, kIrVersion).text(2, "vit22b").text(3, program_version());
  message.message(8, operators.text(1, "").number(2, kOperators));
  for (const auto& [key, value] : model.metadata) message.message(14, entry_message(key, value));
  return message;
}

/// What stands before a tensor's bytes in a graph, or the whole of it where these lie elsewhere.
WireMessage tensor_field(const OnnxTensor& tensor, const std::optional<OnnxPlace>& place) {
  WireMessage message = tensor_message(tensor, place), field;
  if (place) return field.message(kGraphTensorField, message);
  const auto bytes = static_cast<size_t>(tensor.size_bytes());
  message.head(kTensorBytesField, bytes);
  field.head(kGraphTensorField, message.size() + bytes);
  WireMessage whole;
  return whole.append(field).append(message);
}

void write_model_file(FileOps& ops, const fs::path& path, const OnnxModel& model,
                      const Places& places) {
  constexpr int kGraph = 7;
  const std::vector<OnnxTensor>& tensors = model.graph.tensors();
  const WireMessage rest = graph_message(model);
  std::vector<WireMessage> fields;
  fields.reserve(tensors.size());
  size_t graph_bytes = rest.size();
  for (size_t i = 0; i < tensors.size(); ++i) {
    fields.push_back(tensor_field(tensors[i], places[i]));
    graph_bytes +=
        fields.back().size() + (places[i] ? 0 : static_cast<size_t>(tensors[i].size_bytes()));
  }
  WireMessage head = model_message(model);
  head.head(kGraph, graph_bytes);
  AtomicFile file(ops, path);
  file.write(head.bytes());
  file.write(rest.bytes());
  for (size_t i = 0; i < tensors.size(); ++i) {
    file.write(fields[i].bytes());
    if (!places[i]) write_values(file, tensors[i]);
  }
  check_is_free(path);
  file.commit();
}

bool is_utf8(const std::string& text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  utf8proc_ssize_t step = 0;
  for (utf8proc_ssize_t at = 0; at < size; at += step) {
    utf8proc_int32_t character = 0;
    step = utf8proc_iterate(bytes + at, size - at, &character);
    if (step <= 0) return false;
  }
  return true;
}

}  // namespace

fs::path onnx_data_path(const fs::path& path) {
  return path.string() + ".data";
}

void write_onnx(FileOps& ops, const fs::path& path, const OnnxModel& model, int64_t most_inside) {
  const fs::path data = onnx_data_path(path);
  const std::vector<OnnxTensor>& tensors = model.graph.tensors();
  const Places places = places_of(tensors, path, most_inside);
  const bool has_data = is_beside(places);
  check_is_free(path);
  if (has_data) check_is_free(data);
  if (has_data && !is_utf8(data.filename().string()))
    throw UsageError(printable(path.string()),
                     ": the model names the file of its weights, and this name is no UTF-8; choose "
                     "another one");
  const SavesFirst until_written;
  if (path.has_parent_path()) ops.make_folder(path.parent_path());
  if (has_data) write_data(ops, data, tensors, places);
  try {
    write_model_file(ops, path, model, places);
  } catch (...) {
    std::error_code error;
    if (has_data) fs::remove(data, error);
    throw;
  }
}

}  // namespace vit22b
