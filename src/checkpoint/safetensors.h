#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/file.h"

namespace vit22b {

/// The safetensors format: u64 little-endian header length, JSON header, raw little-endian tensors
/// in C order.
///
/// Files are hostile: header at most 100 MB, no duplicate names, offsets in range, no overlaps and
/// no holes, size = shape × dtype with overflow checked.
class SafetensorsFile {
 public:
  struct Entry {
    std::string name;
    at::ScalarType dtype = at::kFloat;
    std::vector<int64_t> shape;
    size_t begin = 0, end = 0;  ///< byte range after the header
  };

  /// throws  CheckpointError naming the file, the tensor or tensors, and what is wrong
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }
  /// throws  CheckpointError naming the nearest tensor when there is none of that name
  const Entry& entry(const std::string& name) const;
  /// A copy of a tensor on the CPU, in its own dtype.
  at::Tensor load(const std::string& name) const;
  /// throws  CheckpointError's code where the file has become shorter
  std::span<const std::byte> bytes(const Entry& entry) const;
  /// See MappedFile::forget.
  void forget() const { file_.forget(); }
  /// Where an entry's bytes begin in the file.
  size_t file_offset(const Entry& entry) const { return data_begin_ + entry.begin; }
  /// The length field and the JSON, for hashing.
  std::span<const std::byte> header() const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  size_t data_begin_ = 0;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Hashes of a file as its writer saw it: of the header and of each tensor, or of the whole file
/// when it has no tensors.
struct FileRecord {
  size_t size = 0;
  std::string hash;  ///< header, or whole file
  std::map<std::string, std::string> tensors;
};

/// One tensor of a file that is to be written.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
};

/// The length field and the JSON of a file, padded so that data starts at a multiple of 64 bytes;
/// `begins` receives each tensor's first byte after it, and last the number of bytes.
std::string safetensors_header(const std::vector<TensorEntry>& entries,
                               const std::map<std::string, std::string>& metadata,
                               std::vector<size_t>& begins);

/// Tensors in writing order.
using TensorList = std::vector<std::pair<std::string, at::Tensor>>;

/// Writes tensors atomically, each asked for when it is its turn: `tensor(i)` gives entry i.
///
/// throws  the FileOps' error
FileRecord write_safetensors(FileOps& ops, const std::filesystem::path& path,
                             const std::vector<TensorEntry>& entries,
                             const std::function<at::Tensor(size_t i)>& tensor,
                             const std::map<std::string, std::string>& metadata = {});

/// The same from memory.
FileRecord write_safetensors(FileOps& ops, const std::filesystem::path& path,
                             const TensorList& tensors,
                             const std::map<std::string, std::string>& metadata = {});

}  // namespace vit22b
