#include "core/stored_bytes.h"

#include "core/error.h"

namespace vit22b {

uint64_t little_endian(std::string_view bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(bytes.substr(at, size)[i]);
  return value;
}

std::string read_range(const ByteStore& store, size_t offset, size_t count, std::string_view what) {
  const size_t available = offset > store.size() ? 0 : store.size() - offset;
  if (count > available)
    throw CheckpointError(store.place(), ": ", what, " lies at bytes ", offset, " to ",
                          offset + count, " of ", store.size(), "; the file is cut short");
  std::string bytes(count, '\0');
  if (store.read(offset, std::as_writable_bytes(std::span(bytes))) < count)
    throw CheckpointError(store.place(), ": ", what, " is cut short");
  return bytes;
}

}  // namespace vit22b
