#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/container/tensor_container.h"
#include "model/parameter_table.h"

namespace vit22b {

/// A part of a parameter: rows of a source tensor, as they are or changed, or values that no file
/// has.
struct TensorPiece {
  std::string source;          ///< the tensor in the files; "" where `make` gives the values
  std::vector<int64_t> shape;  ///< that the source tensor has to have
  /// Which rows of its first dim; all of them where `num_rows` is -1.
  int64_t first_row = 0, num_rows = -1;
  /// What becomes of the rows (a transpose, a permutation, heads repeated); nothing where it is
  /// empty. Gets float32.
  std::function<at::Tensor(const at::Tensor& rows)> change = {};
  /// Gives a made piece's values, float32.
  std::function<at::Tensor()> make = {};
};

/// How a parameter comes from the files: pieces that fill it one after the other in C order, and
/// others, as large as it, that are added.
struct TensorRecipe {
  std::vector<TensorPiece> pieces, added = {};
};

/// What each tensor of a checkpoint's files is for.
struct TensorMap {
  std::map<std::string, TensorRecipe> parameters;  ///< by the row's name
  std::set<std::string> left = {};  ///< tensors that are knowingly not used, such as a decoder's
};

/// The tensor of a parameter's own name and shape.
TensorPiece whole_tensor(const ParameterRow& row);

/// throws  CheckpointError naming a tensor that no parameter uses and that is not left knowingly
void check_all_used(const TensorMap& map, const TensorContainer& files);

/// throws  CheckpointError naming the source tensor that is missing, misshapen (with both shapes)
///         or of whole numbers, and its file
void check_sources(const TensorRecipe& recipe, const TensorContainer& files);

}  // namespace vit22b
