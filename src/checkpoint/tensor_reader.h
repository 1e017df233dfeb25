#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/weights.h"

namespace vit22b {

/// Reads a checkpoint's weights a tensor at a time, as often as is asked, holding a few MiB: for
/// models that memory does not hold.
///
/// Each tensor is checked as it is read against manifest.json where there is one, and the file
/// against what it was when it was opened.
class TensorReader {
 public:
  /// throws  CheckpointError when a parameter of the table is missing or misshapen, or a tensor
  ///         belongs to none
  TensorReader(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table);
  ~TensorReader();
  TensorReader(const TensorReader&) = delete;
  TensorReader& operator=(const TensorReader&) = delete;

  /// Overwrites a parameter's values; a parallel block's two output biases are summed into one.
  ///
  /// target  in the row's shape, contiguous, on the CPU, float32 or bfloat16 (rounded to nearest)
  /// throws  CheckpointError naming the file and the tensor that is damaged, changed or cut short
  void read(const ParameterRow& row, at::Tensor& target);

 private:
  struct OpenFile {
    int descriptor = -1;
    std::string as_opened;  ///< size and time of change
    const FileRecord* record = nullptr;
  };

  void read_tensor(const std::string& name, at::Tensor& target);

  WeightFiles files_;
  Manifest manifest_;
  std::map<std::string, OpenFile> open_;  ///< by path
  std::vector<std::byte> buffer_;
};

}  // namespace vit22b
