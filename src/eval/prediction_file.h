#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "checkpoint/container/safetensors_file.h"

namespace vit22b {

/// What somebody predicted of some labelled samples, in a safetensors file: `labels` [M], and
/// `predicted` [S, M], `predicted.K` of several numbers of neighbours or shots, or `logits` [M, C];
/// in its metadata, where known, the samples' `contents`.
class PredictionFile {
 public:
  /// throws  CheckpointError for a file that is damaged or has no labels
  explicit PredictionFile(const std::string& path);

  const std::string& path() const { return path_; }
  const at::Tensor& labels() const { return labels_M_; }
  /// The predicted classes [S, M] int64.
  ///
  /// key     a number of neighbours or shots; 0 where the file has one answer a sample
  /// throws  UsageError where the file leaves a choice, or has none of them; DataError for another
  ///         number of samples than labels
  at::Tensor predicted(int64_t key) const;

  /// Checks that sample i there is sample i here: labels, and the contents where both know them;
  /// a line says where the labels alone are compared.
  ///
  /// throws  DataError naming both places
  void check_same_samples(const at::Tensor& labels_M, const std::vector<std::string>& contents,
                          const std::string& place) const;
  void check_same_samples(const PredictionFile& other) const;

 private:
  at::Tensor answers_of_logits() const;
  at::Tensor read_predicted(int64_t key) const;

  std::string path_;
  SafetensorsFile file_;
  at::Tensor labels_M_;
  std::vector<std::string> contents_;
};

/// Writes such a file.
///
/// predicted  [S, M] by number of neighbours or shots, or under 0
/// contents   of the samples; empty where nobody knows
void write_prediction_file(const std::string& path, const std::string& method,
                           const at::Tensor& labels_M,
                           const std::map<int64_t, at::Tensor>& predicted,
                           const std::vector<std::string>& contents);

}  // namespace vit22b
