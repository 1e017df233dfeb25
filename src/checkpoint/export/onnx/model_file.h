#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/export/onnx/graph.h"
#include "core/file.h"

namespace vit22b {

/// A graph and what is said of it.
struct OnnxModel {
  OnnxGraph graph;
  std::string name;
  std::vector<std::pair<std::string, std::string>> metadata = {};  ///< UTF-8
};

/// A message of protocol buffers has 2 GiB at most; of these the nodes take some.
constexpr int64_t kMostOnnxBytes = 2'000'000'000;

/// Where tensors beside FILE.onnx lie, when they do.
std::filesystem::path onnx_data_path(const std::filesystem::path& path);

/// Writes a model for ONNX's operators, version 18, a tensor at a time: it is asked for its values
/// when it is its turn. Tensors of more than `most_inside` bytes together lie in a file beside it,
/// which the model names without a folder; those of under 1 KiB stay inside. Both files appear
/// whole or not at all, the model's last.
///
/// throws  UsageError for a file that is there already, and for a name that is no UTF-8, which the
///         model cannot say; the FileOps' error
/// source  onnx/onnx.proto (IR version 8) and docs/ExternalData.md
void write_onnx(FileOps& ops, const std::filesystem::path& path, const OnnxModel& model,
                int64_t most_inside = kMostOnnxBytes);

}  // namespace vit22b
