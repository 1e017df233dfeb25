#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// Gives a parameter's whole tensor, float32 on the CPU.
using WholeTensor = std::function<at::Tensor(const ParameterRow& row)>;

/// The dtype in which a parameter is held, in memory or on disk, where the matrices of blocks and
/// of the pool may be in `matrix_type`: everything else is small, and float32.
at::ScalarType held_type(const ParameterRow& row, at::ScalarType matrix_type);

/// The weights of a folder: model.safetensors, or the shards that model.safetensors.index.json
/// lists.
class WeightFiles {
 public:
  /// stem    "model", or "text" for a text tower's
  /// throws  CheckpointError when neither is there, or a shard is missing or damaged
  explicit WeightFiles(const std::filesystem::path& folder, const std::string& stem = "model");

  bool contains(const std::string& name) const { return files_by_name_.count(name) != 0; }
  const SafetensorsFile::Entry& entry(const std::string& name) const {
    return file_of(name).entry(name);
  }
  at::Tensor load(const std::string& name) const { return file_of(name).load(name); }
  /// throws  CheckpointError naming the nearest tensor when there is none of that name
  const SafetensorsFile& file_of(const std::string& name) const;
  std::vector<std::string> names() const;
  std::string place() const { return place_.string(); }

 private:
  std::filesystem::path place_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const SafetensorsFile*> files_by_name_;
};

/// The name on disk of the output bias that is added to a parallel block's, or "" for other rows.
std::string twin_bias(const ParameterRow& row);

/// throws  CheckpointError naming the tensor that is missing or misshapen, its file and both shapes
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
NamedTensors load_weights(const std::filesystem::path& folder,
                          const std::vector<ParameterRow>& table);

/// What init_weights did that a person should know, a sentence each.
struct InitReport {
  std::vector<std::string> notes;
};

/// Starts a model from another one's weights: a head of another size and the names in `skip` keep
/// their fresh values, the position table moves to the new grid.
///
/// weights  fresh values by full name; overwritten where the folder has them
/// throws   CheckpointError when anything else does not fit
InitReport init_weights(const std::filesystem::path& folder, const ViTConfig& config,
                        const std::vector<std::string>& skip, NamedTensors& weights);

}  // namespace vit22b
