#pragma once
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "checkpoint/container/tensor_container.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// Gives a parameter's whole tensor, float32 on the CPU.
using WholeTensor = std::function<at::Tensor(const ParameterRow& row)>;

/// The dtype in which a parameter is held, in memory or on disk, where the matrices of blocks and
/// of the pool may be in `matrix_type`: everything else is small, and float32.
at::ScalarType held_type(const ParameterRow& row, at::ScalarType matrix_type);

/// The weights of a checkpoint: one file, or the shards that an index lists.
///
/// throws  CheckpointError when there are none; where a folder holds one file and an index, of
///         which none was named; or when a file is missing or damaged, or is not as the index says
TensorContainer open_weights(const CheckpointPath& checkpoint);

/// The same with the tensors of what an image tower stands in, under the files' own names.
TensorContainer open_all_weights(const CheckpointPath& checkpoint);

/// Says of each tensor which hash its bytes have to have, where manifest.json beside its file has
/// one.
void expect_recorded_hashes(TensorContainer& files);

/// Reads every parameter of a table as float32 by its full name, in timm's layout. What is read is
/// checked against manifest.json; other tensors of the folder are not.
///
/// throws  CheckpointError naming a missing, misshapen, damaged or extra tensor, its file and both
///         shapes
NamedTensors load_weights(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table);

/// What identifies a checkpoint's weights wherever they lie: every tensor's name, shape and type,
/// and its first bytes, which no two trainings leave equal.
///
/// throws  CheckpointError when they cannot be read
std::string weights_identity(const CheckpointPath& checkpoint);

}  // namespace vit22b
