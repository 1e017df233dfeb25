#include "core/module.h"

#include <dlfcn.h>

#include <filesystem>

#include "core/text.h"

namespace vit22b {

namespace {

/// Where the code that asks was loaded from: the program's folder, or the library's.
std::filesystem::path own_folder() {
  std::error_code error;
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&module_symbol), &info) != 0 && info.dli_fname != nullptr)
    if (const std::filesystem::path object = std::filesystem::canonical(info.dli_fname, error);
        object.filename().string().starts_with("libvit22b"))
      return object.parent_path();
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace

void* module_symbol(const char* file, const char* symbol, ModuleScope scope, std::string& reason) {
  const std::filesystem::path folder = own_folder();
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
