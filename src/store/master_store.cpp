#include "store/master_store.h"

namespace vit22b {

void assign_whole(MasterStore& store, const ParameterRow& row, const at::Tensor& whole,
                  const Mesh& mesh) {
  store.weight(row).copy_(part_of(whole, store.cut(row), place_of(mesh)));
}

NamedParts owned_parts(MasterStore& store, const std::vector<ParameterRow>& table) {
  NamedParts parts;
  for (const ParameterRow& row : table) parts[row.name] = {store.cut(row), store.weight(row)};
  return parts;
}

}  // namespace vit22b
