#pragma once
#include <map>
#include <string>

namespace vit22b {

/// configs/devices/*.toml by name, as they were when this program was built.
const std::map<std::string, std::string>& device_texts();

}  // namespace vit22b
