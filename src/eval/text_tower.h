#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "eval/load_predictor.h"

namespace vit22b {

/// The text side of a two-tower checkpoint.
class TextTower {
 public:
  /// throws  CheckpointError for a folder without a text tower, or with another tokenizer than it
  ///         was trained with
  TextTower(const std::filesystem::path& checkpoint, const PredictorOptions& options);

  /// The checkpoint's sentences with {} for a class's name.
  const std::vector<std::string>& templates() const { return templates_; }
  /// [N, E] float32 of length 1, on the CPU.
  at::Tensor embed(const std::vector<std::string>& texts) const;

 private:
  ViTConfig config_;
  std::vector<std::string> templates_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Predictor> predictor_;
};

}  // namespace vit22b
