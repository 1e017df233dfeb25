#include "checkpoint/container/containers.h"
#include "checkpoint/container/safetensors_header.h"
#include "core/error.h"

namespace vit22b {
namespace {

std::string read_begin(const ByteStore& bytes, size_t offset, size_t count) {
  std::string text(count, '\0');
  text.resize(bytes.read(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace

TensorContainer open_safetensors(const std::filesystem::path& file) {
  return open_safetensors(open_file_bytes(file, ExitCode::kCheckpoint), file);
}

TensorContainer open_safetensors(std::unique_ptr<ByteStore> bytes,
                                 const std::filesystem::path& place) {
  TensorContainer container(place);
  const size_t size = bytes->size();
  const std::string length = read_begin(*bytes, 0, kSafetensorsLengthBytes);
  const size_t data_begin =
      safetensors_data_begin(std::as_bytes(std::span(length)), size, bytes->place());
  const std::string json =
      read_begin(*bytes, kSafetensorsLengthBytes, data_begin - kSafetensorsLengthBytes);
  const SafetensorsHeader header = read_safetensors_header(json, data_begin, size, bytes->place());
  const size_t store = container.add_store(std::move(bytes));
  for (const auto& [name, tensor] : header.tensors) {
    StoredTensor stored = tensor;
    stored.store = store;
    container.add(name, std::move(stored));
  }
  return container;
}

}  // namespace vit22b
