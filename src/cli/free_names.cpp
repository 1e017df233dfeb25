#include "cli/free_names.h"

#include <algorithm>
#include <cstdint>

#include "core/error.h"

namespace vit22b {

namespace fs = std::filesystem;

std::string FreeNames::name(const std::string& id) {
  const std::string stem = fs::path(id).stem().string();
  std::string name = stem;
  const auto is_taken = [&](const std::string& ending) { return taken_.count(name + ending) != 0; };
  for (int64_t i = 2; std::any_of(endings_.begin(), endings_.end(), is_taken); ++i)
    name = concat(stem, "-", i);
  for (const std::string& ending : endings_) taken_.insert(name + ending);
  return name;
}

void check_is_apart(const DataSource& pictures, const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) return;
  const fs::path place = fs::canonical(folder, error);
  for (int64_t i = 0; i < pictures.size(); ++i)
    if (fs::canonical(fs::path(pictures.id(i)).parent_path() / ".", error) == place)
      throw UsageError("--out ", folder.string(), " is where the picture ", pictures.id(i),
                       " lies; give another folder, so that no picture is written over");
}

}  // namespace vit22b
