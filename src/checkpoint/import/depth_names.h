#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/container/tensor_container.h"
#include "model/config.h"
#include "model/dense/head_config.h"
#include "model/parameter_table.h"
#include "model/weight_store.h"

namespace vit22b {

/// How the number of a level stands in a library's names: as it is, from 1, or from the coarsest.
enum class LevelNumber { kFromZero, kFromOne, kFromCoarsest };

/// A part of the head dpt, and what a library calls it; '#' stands for a level's number.
struct DepthName {
  std::string_view ours, theirs;
  LevelNumber number = LevelNumber::kFromZero;
};

/// A library's names for a DPT head's parts: one line of the list in depth_names.cpp each.
struct DepthNames {
  std::string_view sign;                       ///< a tensor that such files have, and no others
  std::span<const DepthName> names, of_end;    ///< of the levels, and of the last layers
  std::span<const std::string_view> prefixes;  ///< of all of the head's tensors
  bool is_depth_anything = false;              ///< of its code, not of DPT's

  /// What names and shapes say of a head; not which blocks it sees.
  ///
  /// throws  CheckpointError naming a tensor that is missing
  DenseHeadConfig described(const TensorContainer& files) const;
  /// The rows' values, float32, by local name; zeros for biases of the fusion's units where DPT's
  /// files have none of them, its batch norms within the convolutions before them.
  ///
  /// throws  CheckpointError naming the tensor that is missing, misshapen, or of the head and
  ///         unknown
  NamedTensors load(const TensorContainer& files, const std::vector<ParameterRow>& rows) const;

 private:
  std::string theirs(const std::string& ours) const;
};

/// The names that files have; null for none of them.
const DepthNames* depth_names_of(const TensorContainer& files);

/// Puts the final norm's scale and shift, which outputs of blocks below the last pass in other
/// libraries, into the layers that read them; PatchMaps norms them without.
///
/// final_norm  "norm.weight", and "norm.bias" where it has one
/// weights     of a head dpt; changed
void take_final_norm_in(const NamedTensors& final_norm, const DenseHeadConfig& head, int64_t depth,
                        NamedTensors& weights);

}  // namespace vit22b
