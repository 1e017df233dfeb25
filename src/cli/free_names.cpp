#include "cli/free_names.h"

#include <cstdint>
#include <filesystem>

#include "core/text.h"

namespace vit22b {

std::string FreeNames::name(const std::string& id) {
  const std::string stem = std::filesystem::path(id).stem().string();
  std::string name = stem;
  for (int64_t i = 2; !taken_.insert(name).second; ++i) name = concat(stem, "-", i);
  return name;
}

}  // namespace vit22b
