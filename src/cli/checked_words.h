#pragma once

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// Checks what a command was given, before it works: no number is NaN, which passes the bounds of
/// ranges, and --out is no file that the command reads.
///
/// throws  UsageError
void check_words(const CLI::App& command);

}  // namespace vit22b
