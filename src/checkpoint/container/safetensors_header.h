#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/container/tensor_container.h"

namespace vit22b {

/// One tensor as a header describes it.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
};

/// What the safetensors format (u64 little-endian header length, JSON header, raw little-endian
/// tensors in C order) has before the tensors.
///
/// Files are hostile: header at most 100 MB, no duplicate names, offsets in range, no overlaps and
/// no holes, size = shape × dtype with overflow checked.
struct SafetensorsHeader {
  std::map<std::string, StoredTensor> tensors;  ///< offsets are the file's
  std::map<std::string, std::string> metadata;
};

constexpr size_t kSafetensorsLengthBytes = 8;

/// How many bytes of a file stand before its tensors, by its first 8.
///
/// throws  CheckpointError naming the file that is too short, or no safetensors file
size_t safetensors_data_begin(std::span<const std::byte> first, size_t file_size,
                              const std::string& place);

/// Reads the JSON of a header.
///
/// data_begin  where the tensors begin
/// throws      CheckpointError naming the file, the tensor or tensors, and what is wrong
SafetensorsHeader read_safetensors_header(const std::string& json, size_t data_begin,
                                          size_t file_size, const std::string& place);

/// The length field and the JSON of a file, padded so that data starts at a multiple of 64 bytes;
/// `begins` receives each tensor's first byte after it, and last the number of bytes.
std::string safetensors_header(const std::vector<TensorEntry>& entries,
                               const std::map<std::string, std::string>& metadata,
                               std::vector<size_t>& begins);

}  // namespace vit22b
