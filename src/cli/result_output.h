#pragma once
#include <filesystem>
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

/// Keeps a run's own result as RUN/results/FILE.
///
/// returns  whether it is kept; where the folder cannot be written a warning says so
bool keep_in_run(const std::filesystem::path& run, const std::string& file,
                 const std::string& json);

}  // namespace vit22b
