#pragma once
#include <filesystem>
#include <string>

#include "eval/text_tower.h"

namespace vit22b {

/// What texts are embedded, and where to.
struct TextRequest {
  std::string checkpoint;
  std::string texts;      ///< a file with a text a line, or safetensors with `words` [N, T]
  std::string tokenizer;  ///< where the checkpoint's folder holds none
  std::string out;        ///< safetensors file to write
};

/// Writes `text_embedding` [N, E] of length 1, and `logit_scale` [1] and `logit_bias` [1], by which
/// an image's contrastive logits are its cosine times the scale plus the bias.
///
/// returns  how many texts there were
/// throws   as TextTower; DataError for a file without texts
int64_t write_text_embeddings(const TextRequest& request, const PredictorOptions& options);

}  // namespace vit22b
