#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "checkpoint/container/safetensors_header.h"
#include "core/file.h"

namespace vit22b {

/// A safetensors file mapped into memory: for tables of which any rows are read, in any order, and
/// for files of our own that are read whole.
class SafetensorsFile {
 public:
  using Entry = StoredTensor;

  /// throws  CheckpointError as read_safetensors_header
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, Entry>& entries() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  bool contains(const std::string& name) const { return header_.tensors.count(name) != 0; }
  /// throws  CheckpointError naming the nearest tensor when there is none of that name
  const Entry& entry(const std::string& name) const;
  /// A copy of a tensor on the CPU, in its own dtype.
  at::Tensor load(const std::string& name) const;
  /// throws  CheckpointError's code where the file has become shorter
  std::span<const std::byte> bytes(const Entry& entry) const;
  /// See MappedFile::forget.
  void forget() const { file_.forget(); }
  /// The length field and the JSON, for hashing.
  std::span<const std::byte> header() const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  size_t data_begin_ = 0;
  SafetensorsHeader header_;
};

}  // namespace vit22b
