#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/container/safetensors_header.h"
#include "core/file.h"

namespace vit22b {

/// Hashes of a file as its writer saw it: of the header and of each tensor, or of the whole file
/// when it has no tensors.
struct FileRecord {
  size_t size = 0;
  std::string hash;  ///< header, or whole file
  std::map<std::string, std::string> tensors;
};

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
