#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace vit22b {

/// "0", "1", ...: what classes are called that have numbers alone.
std::vector<std::string> numbered_names(int64_t count);

/// True for such a list, also for an empty one: its classes have numbers and no names.
bool are_numbers(const std::vector<std::string>& names);

/// Checks that a class's name can stand in a checkpoint: UTF-8 of at most 255 bytes.
///
/// place   the folder or file that has it
/// throws  DataError naming both
void check_class_name(const std::string& name, const std::string& place);

}  // namespace vit22b
