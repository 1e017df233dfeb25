#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_info.h"

namespace vit22b {

/// A checkpoint's tensors one at a time, under its model's names or its files'.
struct ComparedCheckpoint {
  /// A tensor that is read when it is asked for.
  struct Tensor {
    std::vector<int64_t> shape;
    std::function<at::Tensor()> read;
  };
  std::optional<ModelInfo> info;  ///< nothing where it is not known as a model
  std::map<std::string, Tensor> tensors;
  std::map<std::string, int64_t> dtypes;  ///< how many tensors of the files are of each
};

/// The parameters of a checkpoint of any family under our names; what its files have beside them,
/// such as a text tower or a mask token, under the files'. Of a folder of vit22b's also the text
/// tower ("text." before its names) and a task's own. Hashes are not checked: a damaged tensor is
/// to be seen as one that differs.
///
/// throws  CheckpointError as read_model_info and TensorReader, and for a parameter that is
///         missing, or of another shape than the model's
ComparedCheckpoint parameters_of_checkpoint(const CheckpointPath& checkpoint);

/// The tensors of a checkpoint's files under their own names, whatever they are of.
///
/// throws  CheckpointError where the files cannot be read
ComparedCheckpoint tensors_of_files(const CheckpointPath& checkpoint);

}  // namespace vit22b
