#pragma once
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"

namespace vit22b {

/// The text tower of a two-tower checkpoint, without its weights.
struct TextSide {
  CheckpointPath place;  ///< of its parameters
  ViTConfig config;      ///< reads words
  TokenizerOptions words;
  /// Sentences with {} for a class's name.
  std::vector<std::string> templates = {"{}"};
  /// The tokenizer's file: the only one that a folder of vit22b's goes with, checked; or what
  /// another folder holds; "" where there is none.
  std::filesystem::path tokenizer = {};
  /// The images' feature of the same space: "pooled", or "image_embedding" behind a projection.
  std::string image_feature = "pooled";
  std::optional<TextInfo> own = std::nullopt;  ///< of folders that vit22b wrote
  std::vector<FunctionField> function = {};
};

/// throws  CheckpointError for a checkpoint without a text tower, or with one that is not read, and
///         as read_model_info
TextSide read_text_side(const CheckpointPath& checkpoint);

}  // namespace vit22b
