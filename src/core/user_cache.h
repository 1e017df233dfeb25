#pragma once
#include <filesystem>

namespace vit22b {

/// Where this program may keep what it can make or fetch again: vit22b/ in XDG_CACHE_HOME, else in
/// ~/.cache. Empty without a home.
std::filesystem::path user_cache_folder();

}  // namespace vit22b
