#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace vit22b {

/// Talk for people, on stderr and in the run's log file; never on stdout.
void log_info(std::string_view text);
void log_warn(std::string_view text);
void log_error(std::string_view text);

/// A line for the run's log file alone, for what the terminal shows another way (the progress bar).
void log_file_only(std::string_view text);

/// Hides info lines on stderr; the log file keeps them.
void log_set_quiet(bool is_quiet);
bool log_is_quiet();

/// Whether lines are shown on stderr at all; the log file keeps them.
void log_set_terminal(bool is_shown);

/// Put before every line, such as "[rank 3] "; "" for one process.
void log_set_prefix(std::string prefix);

/// Also appends every line to a file from here on.
///
/// throws  UsageError when the file cannot be opened
void log_to_file(const std::filesystem::path& path);

}  // namespace vit22b
