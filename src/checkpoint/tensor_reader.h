#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "checkpoint/tensor_map.h"

namespace vit22b {

/// Whether each tensor is checked, as it is read, against the hash that manifest.json has for it,
/// or has been checked already.
enum class TensorHashes { kCheck, kChecked };

/// Reads a checkpoint's parameters as its importer's map says, one at a time, as often as is asked,
/// holding a few MiB: for models that memory does not hold, and for those that it does. Each file
/// is checked against what it was when it was opened. Of one thread at a time.
class TensorReader {
 public:
  /// throws  CheckpointError where config.json cannot be read, nobody recognises it, the files are
  ///         not what they or manifest.json say, or a tensor of theirs belongs to no parameter
  TensorReader(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table,
               TensorHashes hashes = TensorHashes::kCheck);

  /// The same of opened files, by a map of the caller's.
  TensorReader(TensorContainer files, TensorMap map, const std::vector<ParameterRow>& table,
               TensorHashes hashes = TensorHashes::kCheck);

  /// The files' tensors.
  const TensorContainer& files() const { return files_; }
  /// Those of them that no parameter uses, knowingly.
  std::set<std::string> left() const;
  /// throws  CheckpointError when a parameter of the table is missing, misshapen or of whole
  ///         numbers
  void check_all() const;

  /// Overwrites a parameter's values.
  ///
  /// row     of the table, by its name; in the shape that the model has
  /// target  in the row's shape, contiguous, on the CPU, float32 or bfloat16 (rounded to nearest)
  /// throws  CheckpointError naming the file and the tensor that is missing, misshapen, damaged,
  ///         changed or cut short
  void read(const ParameterRow& row, at::Tensor& target) const;
  /// Says that it will not be read again soon.
  void release(const ParameterRow& row) const;
  /// The same, new, float32.
  at::Tensor whole(const ParameterRow& row) const;

 private:
  void check_map(const std::vector<ParameterRow>& table);
  const TensorRecipe& recipe(const ParameterRow& row) const;
  int64_t read_piece(const TensorPiece& piece, at::Tensor& target, int64_t first) const;
  void read_rows(const TensorPiece& piece, at::Tensor& target, int64_t first) const;
  void check_hash(const std::string& name, const std::string& hash) const;
  std::string hash_of(const std::string& name) const;

  TensorContainer files_;
  TensorMap map_;
  std::map<std::string, ParameterRow> rows_;  ///< of the table
  TensorHashes hashes_;
  /// Stays in the second cache while it is hashed and stored.
  static constexpr size_t kBufferBytes = 4 << 20;
  mutable std::vector<std::byte> buffer_ = std::vector<std::byte>(kBufferBytes);
};

}  // namespace vit22b
