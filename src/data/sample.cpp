#include "data/sample.h"

#include "core/checksum.h"

namespace vit22b {

std::string content_hash(const Sample& sample) {
  const auto image = sample.fields.find(kImageField);
  if (image != sample.fields.end() && !image->second.encoded.empty())
    return xxh3_128(std::as_bytes(std::span(image->second.encoded)));
  Xxh3Stream stream;
  for (const auto& [name, field] : sample.fields) {
    if (!field.is_decoded()) continue;
    const at::Tensor values = field.value.contiguous();
    stream.add(std::as_bytes(std::span(name)));
    stream.add({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
  }
  return stream.hash();
}

}  // namespace vit22b
