#include "core/user_cache.h"

#include <cstdlib>

namespace vit22b {

std::filesystem::path user_cache_folder() {
  namespace fs = std::filesystem;
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return fs::path(cache) / "vit22b";
  const char* const home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".cache" / "vit22b";
  return {};
}

}  // namespace vit22b
