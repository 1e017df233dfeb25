#include "checkpoint/tensor_map.h"

#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {

TensorPiece whole_tensor(const ParameterRow& row) {
  return {row.name, row.shape};
}

void check_all_used(const TensorMap& map, const TensorContainer& files) {
  std::set<std::string> known = map.left;
  for (const auto& [row, recipe] : map.parameters)
    for (const auto* pieces : {&recipe.pieces, &recipe.added})
      for (const TensorPiece& piece : *pieces) known.insert(piece.source);
  for (const auto& [name, tensor] : files.tensors())
    if (known.count(name) == 0)
      throw CheckpointError(files.place().string(), ": tensor '", name,
                            "' belongs to no parameter of the model that its config describes");
}

void check_sources(const TensorRecipe& recipe, const TensorContainer& files) {
  const std::string place = files.place().string();
  for (const auto* pieces : {&recipe.pieces, &recipe.added})
    for (const TensorPiece& piece : *pieces) {
      if (piece.source.empty()) continue;
      if (!files.contains(piece.source))
        throw CheckpointError(place, ": tensor '", piece.source, "' is missing",
                              did_you_mean(piece.source, files.names()));
      const StoredTensor& tensor = files.tensor(piece.source);
      if (tensor.shape != piece.shape)
        throw CheckpointError(place, ": tensor '", piece.source, "' has shape ",
                              shape_text(tensor.shape), ", the model has ", shape_text(piece.shape),
                              "; config.json describes another model than these weights are of");
      if (!c10::isFloatingType(tensor.dtype))
        throw CheckpointError(place, ": tensor '", piece.source, "' is of ",
                              c10::toString(tensor.dtype),
                              ", want floating-point numbers: its values are no weights");
    }
}

}  // namespace vit22b
