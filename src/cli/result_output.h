#pragma once
#include <functional>
#include <string>

#include "cli/command.h"
#include "core/file.h"
#include "eval/result.h"

namespace vit22b {

/// Prints a result, as JSON or for people, and writes --out.
///
/// keep  what else is to be done with its JSON
void tell_result(const CommonFlags& flags, const Result& result,
                 const std::function<void(FileOps&, const std::string& json)>& keep = {});

}  // namespace vit22b
