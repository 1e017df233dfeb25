#pragma once
#include <string>
#include <string_view>

namespace vit22b {

/// Checks that the brackets of a JSON text are nested no deeper than any honest file's (64): a tree
/// of some 100,000 levels would end the process where it is copied or printed.
///
/// throws  CheckpointError naming the place
void check_json_nesting(std::string_view json, const std::string& place);

}  // namespace vit22b
