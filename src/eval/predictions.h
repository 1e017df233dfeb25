#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace vit22b {

/// What a model said of a data set, made once by this program or by anybody's, and read by any
/// evaluator as often as is wanted.
struct Predictions {
  std::string place;  ///< for messages
  int64_t num_classes = 0;
  at::Tensor labels_N;                        ///< int64
  at::Tensor indices_N;                       ///< int64, in the data set
  std::vector<std::string> ids = {};          ///< empty where nobody knows
  std::vector<std::string> class_names = {};  ///< empty where nobody knows
  /// [count, C] float32 of these samples, read from their file.
  std::function<at::Tensor(int64_t first, int64_t count)> logits;

  int64_t size() const { return labels_N.size(0); }
};

/// Reads `logits` [N, C] and `labels` [N] from a safetensors file, and the samples' `paths` and the
/// classes' `logit_names` from its metadata, as `features` writes them.
///
/// throws  CheckpointError for a damaged file, DataError for tensors that do not fit together
Predictions read_predictions(const std::filesystem::path& file);

}  // namespace vit22b
