#pragma once
#include <filesystem>
#include <string>

#include "checkpoint/manifest.h"
#include "checkpoint/model_info.h"

namespace vit22b {

/// What of a two-tower checkpoint does not train: the text tower's tokenizer, and a locked image
/// tower, by where its files are.
struct FrozenParts {
  CheckpointPath image;  ///< an empty folder where the image tower trains too
  std::string tokenizer_bytes;
};

/// The parameters that a checkpoint's own weights are of, and their file: the text tower's where
/// there is one.
const ViTConfig& trained_config(const ModelInfo& info);
const char* trained_file(const ModelInfo& info);

/// Gives a two-tower folder a locked image tower's weight files (as further names of the same files
/// where the file system has them), under the name that a folder's weights have, and the tokenizer,
/// and records them.
///
/// throws  CheckpointError when the image tower is not there any more
void write_frozen_parts(FileOps& ops, const std::filesystem::path& folder, const ModelInfo& info,
                        const FrozenParts& parts, Manifest& manifest);

/// The bytes of a two-tower folder's tokenizer.
///
/// throws  CheckpointError when it is not the one that the text tower was trained with
std::string read_tokenizer(const std::filesystem::path& folder, const TextInfo& info);

}  // namespace vit22b
