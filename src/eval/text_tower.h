#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "eval/load_predictor.h"

namespace vit22b {

/// Texts' embeddings beside images: a logit is their cosine times the scale plus the bias.
struct JointTexts {
  at::Tensor unit_NE;  ///< float32 of length 1, on the CPU
  double scale = 1, bias = 0;
};

/// Whether texts come as they are written, or as rows of words, for which no tokenizer is needed.
enum class Texts { kAsWritten, kAsWords };

/// The text side of a two-tower checkpoint.
class TextTower {
 public:
  /// tokenizer  its file, where the checkpoint's folder holds none
  /// throws     CheckpointError for a checkpoint without a text tower or a tokenizer, or with
  ///            another tokenizer than it was trained with; UsageError for a tokenizer beside its
  ///            own, or that is not used
  TextTower(const std::filesystem::path& checkpoint, const PredictorOptions& options,
            Texts texts = Texts::kAsWritten, const std::filesystem::path& tokenizer = {});

  /// The checkpoint's sentences with {} for a class's name.
  const std::vector<std::string>& templates() const { return templates_; }
  /// The feature of images that lies in the same space: "pooled", or "image_embedding" where a
  /// projection follows.
  const std::string& image_feature() const { return image_feature_; }
  /// [N, E] float32 of length 1, on the CPU.
  at::Tensor embed(const std::vector<std::string>& texts) const;
  /// Their words, [N, T] int64.
  at::Tensor words(const std::vector<std::string>& texts) const;
  /// words_NT  int64, at most as long as the tower's context
  /// throws    DataError for a word that the vocabulary has not, or for none
  JointTexts embed_words(const at::Tensor& words_NT) const;

 private:
  void check_ends(const at::Tensor& words_NT) const;

  ViTConfig config_;
  std::string place_;
  std::vector<std::string> templates_;
  std::string image_feature_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Predictor> predictor_;
};

}  // namespace vit22b
