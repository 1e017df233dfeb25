#pragma once
#include <string>
#include <vector>

#include "checkpoint/import/renamed.h"
#include "model/parameter_table.h"

namespace vit22b {

/// A tensor of a file with timm's names: a parameter's values, or the zeros of a parallel block's
/// second output bias.
struct TimmTensor {
  std::string name;
  const ParameterRow* row;
  bool is_zero = false;
};

/// Tensors of any of timm's classes under the names of its VisionTransformer.
RenamedTensors renamed_timm(const TensorContainer& weights, int64_t num_heads,
                            const TowerNames& tower = {});

/// Leaves out the heads of a distilled model, whose logits are the mean of two.
void leave_distilled_heads(const TensorContainer& weights, RenamedTensors& tensors);

/// Adds the second output biases that parallel blocks have in timm's files.
void add_twins(const std::vector<ParameterRow>& table, const TensorContainer& weights,
               TensorMap& map);

/// What a file has for the parameters of a table; the reverse of map_own.
std::vector<TimmTensor> timm_tensors(const std::vector<ParameterRow>& table);

}  // namespace vit22b
