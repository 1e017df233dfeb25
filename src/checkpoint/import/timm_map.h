#pragma once
#include <string>
#include <vector>

#include "model/parameter_table.h"

namespace vit22b {

/// A tensor of a file with timm's names: a parameter's values, or the zeros of a parallel block's
/// second output bias.
struct TimmTensor {
  std::string name;
  const ParameterRow* row;
  bool is_zero = false;
};

/// What a file has for the parameters of a table; the reverse of map_timm.
std::vector<TimmTensor> timm_tensors(const std::vector<ParameterRow>& table);

}  // namespace vit22b
