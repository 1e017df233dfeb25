#include "store/master_store.h"

namespace vit22b {

NamedParts owned_parts(MasterStore& store, const std::vector<ParameterRow>& table) {
  NamedParts parts;
  for (const ParameterRow& row : table) parts[row.name] = {store.cut(row), store.weight(row)};
  return parts;
}

}  // namespace vit22b
