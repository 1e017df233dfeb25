#include "checkpoint/import/timm_map.h"

#include "checkpoint/import/importer.h"

namespace vit22b {
namespace {

/// timm's parallel blocks add two output biases, ours have one: the other's name, or "" for rows
/// that have none.
std::string twin_bias(const ParameterRow& row) {
  constexpr std::string_view kOurs = "mlp_out_proj", kOther = "attn_out_proj";
  if (row.local_name != "mlp_out_proj.bias") return "";
  std::string name = row.name;
  return name.replace(name.find(kOurs), kOurs.size(), kOther);
}

}  // namespace

TensorMap map_timm(const std::vector<ParameterRow>& table, const TensorContainer& files) {
  TensorMap map;
  for (const ParameterRow& row : table) {
    TensorRecipe& recipe = map.parameters[row.name];
    recipe.pieces = {whole_tensor(row)};
    if (const std::string twin = twin_bias(row); !twin.empty() && files.contains(twin))
      recipe.added = {{twin, row.shape}};
  }
  return map;
}

std::vector<TimmTensor> timm_tensors(const std::vector<ParameterRow>& table) {
  std::vector<TimmTensor> tensors;
  for (const ParameterRow& row : table) {
    if (const std::string twin = twin_bias(row); !twin.empty())
      tensors.push_back({twin, &row, true});
    tensors.push_back({row.name, &row});
  }
  return tensors;
}

}  // namespace vit22b
