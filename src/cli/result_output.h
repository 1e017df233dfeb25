#pragma once
#include <functional>
#include <string>

#include "cli/command.h"
#include "eval/result.h"

namespace vit22b {

/// Prints a result, as JSON or for people, and writes --out.
///
/// also  what else is to be stored, of its JSON
void tell_result(
    const CommonFlags& flags, const Result& result,
    const std::function<void(const std::string& json)>& also = [](const std::string&) {});

}  // namespace vit22b
