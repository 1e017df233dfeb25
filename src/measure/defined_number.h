#pragma once
#include <string>

#include "eval/result.h"

namespace vit22b {

/// Adds a number whose definition differs between tools, with ours: `definitions.NAME` in the JSON,
/// beside its value in the lines for people.
void add_defined(Result& result, ResultNumber number, const std::string& definition);

}  // namespace vit22b
