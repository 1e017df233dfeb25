#pragma once
#include <map>
#include <string>
#include <string_view>

namespace vit22b {

/// The files of src/data/names, which are inside the program, by their names without the ending.
const std::map<std::string, std::string_view>& name_texts();

}  // namespace vit22b
