#pragma once
#include <memory>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
class FormatterBase;
}  // namespace CLI

namespace vit22b {

/// The words that call a command, without the program's: "bench model"; "" for the program.
std::string command_path(const CLI::App& command);

/// Lines that a person can copy for a command; none for a group of commands.
std::vector<std::string> examples_of(const std::string& path);

/// For what cannot be parsed: how the command that was meant is called, and where to read more.
std::string usage_hint(const CLI::App& app);

/// Help that shows examples first.
std::shared_ptr<CLI::FormatterBase> make_help_formatter();

/// Every command with callbacks of its own below an app, groups left out, in the order of the help.
std::vector<const CLI::App*> leaf_commands(const CLI::App& app);

}  // namespace vit22b
