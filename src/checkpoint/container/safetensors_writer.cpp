#include "checkpoint/container/safetensors_writer.h"

#include "core/checksum.h"
#include "core/error.h"
#include "core/signals.h"

namespace vit22b {

namespace fs = std::filesystem;

FileRecord write_safetensors(FileOps& ops, const fs::path& path,
                             const std::vector<TensorEntry>& entries,
                             const std::function<at::Tensor(size_t i)>& tensor,
                             const std::map<std::string, std::string>& metadata) {
  std::vector<size_t> begins;
  const std::string prefix = safetensors_header(entries, metadata, begins);
  FileRecord record{prefix.size() + begins.back(), hash_of_text(prefix), {}};
  const SavesFirst until_written;
  AtomicFile file(ops, path);
  file.write(prefix);
  for (size_t i = 0; i < entries.size(); ++i) {
    const at::Tensor plain = tensor(i).detach().cpu().contiguous();
    const std::span bytes(static_cast<const std::byte*>(plain.data_ptr()), plain.nbytes());
    VIT22B_CHECK(bytes.size() == begins[i + 1] - begins[i], "safetensors: tensor '",
                 entries[i].name, "' is not as its entry says");
    record.tensors[entries[i].name] = xxh3_128(bytes);
    file.write(bytes);
  }
  file.commit();
  return record;
}

FileRecord write_safetensors(FileOps& ops, const fs::path& path, const TensorList& tensors,
                             const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  return write_safetensors(
      ops, path, entries, [&](size_t i) { return tensors[i].second; }, metadata);
}

}  // namespace vit22b
