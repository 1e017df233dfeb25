#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/container/safetensors_file.h"
#include "eval/label_map.h"

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

/// Reads `logits` [N, C] and `labels` [N] from a safetensors file, and the samples' `paths`, the
/// classes' `logit_names` and the labels' `label_names` from its metadata, as `features` writes
/// them. Labels with names are the logits' classes of those names; others are their numbers.
///
/// class_map  as label_map has it
/// throws     CheckpointError for a damaged file, DataError for tensors that do not fit together or
///            a label that no logit is for
Predictions read_predictions(const std::filesystem::path& file, const std::string& class_map = "");

/// The same without labels, which are of no class of the logits': they are read as 0, if there are
/// any.
Predictions read_unlabelled_predictions(const std::filesystem::path& file);

/// Some of the samples, by their places in ascending order.
Predictions part_of(const Predictions& whole, const at::Tensor& places_M);
/// The same with every logit times a factor.
Predictions scaled(const Predictions& predictions, double factor);

/// Which of a file's logits each of its labels means, as label_map has it; nothing where they are
/// numbers alone.
std::optional<LabelMap> map_of_labels(const SafetensorsFile& file, const at::Tensor& labels_N,
                                      int64_t num_classes, const std::string& class_map = "");

}  // namespace vit22b
