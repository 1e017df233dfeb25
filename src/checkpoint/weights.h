#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "checkpoint/safetensors.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// Gives a parameter's whole tensor, float32 on the CPU.
using WholeTensor = std::function<at::Tensor(const ParameterRow& row)>;

/// The dtype in which a parameter is held, in memory or on disk, where the matrices of blocks and
/// of the pool may be in `matrix_type`: everything else is small, and float32.
at::ScalarType held_type(const ParameterRow& row, at::ScalarType matrix_type);

/// The weights of a checkpoint: one file, or the shards that an index lists.
class WeightFiles {
 public:
  /// throws  CheckpointError when there are none; where a folder holds one file and an index, of
  ///         which none was named; or when a file is missing or damaged, or is not as the index
  ///         says
  explicit WeightFiles(const CheckpointPath& checkpoint);

  bool contains(const std::string& name) const { return files_by_name_.count(name) != 0; }
  const SafetensorsFile::Entry& entry(const std::string& name) const {
    return file_of(name).entry(name);
  }
  at::Tensor load(const std::string& name) const { return file_of(name).load(name); }
  /// throws  CheckpointError naming the nearest tensor when there is none of that name
  const SafetensorsFile& file_of(const std::string& name) const;
  std::vector<std::string> names() const;
  std::string place() const { return place_.string(); }
  bool is_sharded() const { return is_sharded_; }
  /// The files that hold the tensors, in the order of their names.
  std::vector<std::filesystem::path> paths() const;

 private:
  void open_shards(const std::filesystem::path& index);

  std::filesystem::path place_;  ///< the file, or the index
  bool is_sharded_ = false;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const SafetensorsFile*> files_by_name_;
};

/// The name on disk of the output bias that is added to a parallel block's, or "" for other rows.
std::string twin_bias(const ParameterRow& row);

/// throws  CheckpointError naming the tensor that is missing, misshapen (with both shapes) or of
///         whole numbers, and its file
void check_weight(const WeightFiles& files, const ParameterRow& row);

/// One parameter as float32, checked against its row; a parallel block's two output biases are
/// summed into one.
///
/// throws  CheckpointError naming a missing or misshapen tensor, its file and both shapes
at::Tensor load_weight(const WeightFiles& files, const ParameterRow& row);

/// throws  CheckpointError naming a tensor that belongs to no row of the table
void check_no_extra(const WeightFiles& files, const std::vector<ParameterRow>& table);

/// Reads every parameter of a table as float32 by its full name, in timm's layout; a parallel
/// block's two output biases are summed into one.
///
/// throws  CheckpointError naming a missing, misshapen or extra tensor, its file and both shapes
NamedTensors load_weights(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table);

/// What identifies a checkpoint's weights wherever they lie: every tensor's name, shape and type,
/// and its first bytes, which no two trainings leave equal.
///
/// throws  CheckpointError when they cannot be read
std::string weights_identity(const CheckpointPath& checkpoint);

}  // namespace vit22b
