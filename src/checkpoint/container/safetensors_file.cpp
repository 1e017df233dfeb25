#include "checkpoint/container/safetensors_file.h"

#include <cstring>

#include "core/error.h"

namespace vit22b {

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(path, ExitCode::kCheckpoint) {
  const auto bytes = file_.bytes();
  data_begin_ = safetensors_data_begin(bytes, bytes.size(), path.string());
  const auto json = header().subspan(kSafetensorsLengthBytes);
  header_ = read_safetensors_header({reinterpret_cast<const char*>(json.data()), json.size()},
                                    data_begin_, bytes.size(), path.string());
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto it = header_.tensors.find(name);
  if (it != header_.tensors.end()) return it->second;
  std::vector<std::string> names;
  names.reserve(header_.tensors.size());
  for (const auto& [known, unused] : header_.tensors) names.push_back(known);
  throw CheckpointError(path_.string(), ": there is no tensor '", name, "'",
                        did_you_mean(name, names));
}

at::Tensor SafetensorsFile::load(const std::string& name) const {
  const Entry& found = entry(name);
  at::Tensor tensor = at::empty(found.shape, found.dtype);
  const auto source = bytes(found);
  if (!source.empty()) std::memcpy(tensor.data_ptr(), source.data(), source.size());
  return tensor;
}

std::span<const std::byte> SafetensorsFile::bytes(const Entry& entry) const {
  file_.check_size();
  return file_.bytes().subspan(entry.offset, entry.size_bytes());
}

std::span<const std::byte> SafetensorsFile::header() const {
  return file_.bytes().first(data_begin_);
}

}  // namespace vit22b
