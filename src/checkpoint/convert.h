#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"
#include "checkpoint/model_writer.h"
#include "core/file.h"

namespace vit22b {

/// A graph for other runtimes, in one file (and one of weights beside it where it is large).
constexpr const char* kOnnxFormat = "onnx";

/// How a checkpoint is written anew.
struct ConvertOptions {
  std::string format;  ///< of export_formats, kNpzFormat or kOnnxFormat; "" for our own folder
  WeightLayout layout;
  bool has_no_head = false;      ///< its classifier is left behind
  bool has_data_beside = false;  ///< ONNX: weights in a file of their own, however small they are
  /// A head of every pixel of another file, as read_dinov2_head or read_dinov2_depth_head takes it,
  /// and its classes' names; "" for the checkpoint's own, if it has one.
  std::filesystem::path pixel_head = {};
  std::vector<std::string> pixel_names = {};
  std::function<void()> on_tensor = {};  ///< called before each; may throw to stop
};

/// A tensor's name there, and what it is made of.
struct ConvertedTensor {
  std::string name;
  std::vector<std::string> from;  ///< parameters, under timm's names
};

/// What has been written of a checkpoint.
struct Conversion {
  ModelInfo info;
  std::vector<ConvertedTensor> tensors;
  std::vector<std::string> left;  ///< tensors of its files that are not used
};

/// Writes a checkpoint of any family as another library has it, a tensor at a time, adapters added
/// to the weights that they stand beside; then reads every parameter back from the new files, which
/// appear whole or not at all. As ONNX it is a file, which is not read back.
///
/// place   the new folder; of npz and ONNX the file, whose name ends so
/// throws  UsageError for a function that the library's files cannot say, and for a parameter that
///         would be read otherwise than it is; CheckpointError where the checkpoint cannot be read
Conversion convert_checkpoint(FileOps& ops, const CheckpointPath& from,
                              const std::filesystem::path& place, const ConvertOptions& options);

}  // namespace vit22b
