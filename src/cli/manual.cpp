#include "cli/manual.h"

#include <CLI/CLI.hpp>

#include "cli/help.h"
#include "core/device.h"
#include "core/text.h"

namespace vit22b {
namespace {

// A dash of the program's is not a hyphen of the text's, and a dot begins no line.
std::string roff(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\')
      escaped += "\\e";
    else if (c == '-')
      escaped += "\\-";
    else
      escaped += c;
  }
  return escaped.starts_with(".") || escaped.starts_with("'") ? "\\&" + escaped : escaped;
}

std::string option_text(const CLI::Option& option) {
  const std::string value = option.get_items_expected_max() > 0 ? " " + option.get_type_name() : "";
  const std::string name =
      option.get_positional() ? option.get_name() : option.get_name(false, true);
  return ".TP\n.B " + roff(name + (option.get_positional() ? "" : value)) + "\n" +
         roff(option.get_description()) + "\n";
}

std::string command_text(const CLI::App& command) {
  const std::string path = command_path(command);
  std::string text = ".SS vit22b " + roff(path) + "\n" + roff(command.get_description()) + "\n";
  for (const std::string& line : examples_of(path)) text += ".PP\n.nf\n" + roff(line) + "\n.fi\n";
  for (const CLI::Option* option : command.get_options())
    if (!option->get_group().empty() && option->get_name() != "--help")
      text += option_text(*option);
  return text;
}

}  // namespace

std::string manual_page(const CLI::App& app) {
  std::string text =
      ".TH VIT22B 1 \"\" \"vit22b " + roff(program_version()) + "\" \"User Commands\"\n";
  text += ".SH NAME\nvit22b \\- trains, scales and studies vision transformers\n";
  text += ".SH SYNOPSIS\n.B vit22b\n.I command\n[option ...]\n";
  text += ".SH DESCRIPTION\n" + roff(app.get_description()) + ".\n";
  text += "Data goes to standard output, all talk to standard error.\n";
  text += ".SH COMMANDS\n";
  for (const CLI::App* command : leaf_commands(app)) text += command_text(*command);
  text += ".SH EXIT STATUS\n";
  const std::pair<const char*, const char*> codes[] = {
      {"0", "done"},
      {"1", "a bug of the program's"},
      {"2", "usage or configuration"},
      {"3", "data"},
      {"4", "checkpoint"},
      {"5", "numbers: a loss or gradient that is not finite"},
      {"6", "a lost rank"},
      {"75", "stopped by a signal, with what was done saved; the same command goes on"}};
  for (const auto& [code, meaning] : codes)
    text += concat(".TP\n.B ", code, "\n", roff(meaning), "\n");
  text += ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nno colours\n";
  return text;
}

}  // namespace vit22b
