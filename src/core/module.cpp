#include "core/module.h"

#include <dlfcn.h>

#include <filesystem>

#include "core/text.h"

namespace vit22b {

void* module_symbol(const char* file, const char* symbol, ModuleScope scope, std::string& reason) {
  std::error_code error;
  const std::filesystem::path folder =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  reason = concat("no ", file, " beside ", folder.string());
  for (const auto& place : {folder / file, folder.parent_path() / "lib" / file}) {
    if (!std::filesystem::exists(place)) continue;
    void* handle =
        dlopen(place.c_str(), RTLD_NOW | (scope == ModuleScope::kOwn ? RTLD_LOCAL : RTLD_GLOBAL));
    if (handle == nullptr) {
      reason = dlerror();
      continue;
    }
    if (void* found = dlsym(handle, symbol); found != nullptr) return found;
    reason = concat(file, " is of another build than this program");
  }
  return nullptr;
}

}  // namespace vit22b
