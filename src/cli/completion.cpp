#include <CLI/CLI.hpp>
#include <set>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "core/text.h"
#include "model/config.h"
#include "train/config.h"

namespace vit22b {
namespace {

/// An option as a shell needs it.
struct Flag {
  std::string name;  ///< with its dashes
  std::string help;  ///< one line, without quotes
  bool takes_value = false;
};

/// A command as a shell needs it.
struct Command {
  std::vector<std::string> path;
  std::string help;
  std::vector<Flag> flags;
  std::vector<std::string> words;  ///< that may stand beside files: presets, options "a.b="
};

// Quotes and brackets mean something to one shell or another.
std::string plain(std::string text) {
  std::erase_if(text, [](char c) {
    return std::string_view("'\"`[]:\\$\n").find(c) != std::string_view::npos;
  });
  return text;
}

std::vector<Flag> flags_of(const CLI::App& app) {
  std::vector<Flag> flags;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() || option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames())
      flags.push_back(
          {"--" + name, plain(option->get_description()), option->get_items_expected_max() > 0});
  }
  return flags;
}

std::vector<std::string> words_of(const std::string& path) {
  std::vector<std::string> words;
  const auto add_keys = [&](const Fields& fields) {
    for (const FieldText& field : list_fields(fields)) words.push_back(field.key + "=");
  };
  const std::set<std::string> of_config = {"train",   "finetune",    "lit",
                                           "distill", "config show", "config check"};
  const std::set<std::string> of_presets = {"model show", "model init", "plan", "bench model",
                                            "features"};
  TrainConfig config;
  if (of_config.count(path) != 0) add_keys([&](FieldVisitor& v) { config.fields(v); });
  if (of_presets.count(path) != 0) words = preset_names();
  if (path.starts_with("model ")) add_keys([&](FieldVisitor& v) { config.model.fields(v); });
  return words;
}

std::vector<Command> all_commands(const CLI::App& root) {
  std::vector<Command> commands;
  for (const CLI::App* app : leaf_commands(root)) {
    const std::string path = command_path(*app);
    commands.push_back(
        {split(path, ' '), plain(app->get_description()), flags_of(*app), words_of(path)});
  }
  return commands;
}

/// The words that may come next, by the words so far; "" is the program alone.
std::map<std::string, std::vector<std::string>> next_words(const std::vector<Command>& commands) {
  std::map<std::string, std::vector<std::string>> next = {{"", {"--help", "--version"}}};
  for (const Command& command : commands) {
    std::string so_far;
    for (const std::string& word : command.path) {
      std::vector<std::string>& here = next[so_far];
      if (std::find(here.begin(), here.end(), word) == here.end()) here.push_back(word);
      so_far += so_far.empty() ? word : " " + word;
    }
    for (const Flag& flag : command.flags) next[so_far].push_back(flag.name);
    next[so_far].insert(next[so_far].end(), command.words.begin(), command.words.end());
  }
  return next;
}

std::string bash_script(const std::vector<Command>& commands) {
  const auto next = next_words(commands);
  std::string text =
      "# bash completion of vit22b\n_vit22b() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} command= words= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"$command ${COMP_WORDS[i]}\" in\n";
  for (const auto& [path, words] : next)
    if (!path.empty()) {
      const bool is_nested = path.find(' ') != std::string::npos;
      text += concat("      \"", is_nested ? path : " " + path, "\") command=\"", path, "\" ;;\n");
    }
  text += "    esac\n  done\n  case $command in\n";
  for (const auto& [path, words] : next)
    text += concat("    \"", path, "\") words=\"", join(words, " "), "\" ;;\n");
  text +=
      "  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
      "  return 0\n}\n"
      "complete -o default -o bashdefault -F _vit22b vit22b\n";
  return text;
}

std::string zsh_arguments(const Command& command) {
  std::string text = "_arguments";
  for (const Flag& flag : command.flags)
    text += concat(" \\\n        '", flag.name, "[", flag.help, "]",
                   flag.takes_value ? ":value:_files'" : "'");
  const std::string words = command.words.empty() ? "" : " " + join(command.words, " ");
  return text + concat(" \\\n        '*:file: _vit22b_words", words, "'");
}

std::string zsh_script(const std::vector<Command>& commands) {
  std::map<std::string, std::string> helps;
  std::map<std::string, std::vector<const Command*>> by_first;
  for (const Command& command : commands) {
    by_first[command.path.front()].push_back(&command);
    helps.emplace(command.path.front(),
                  command.path.size() == 1 ? command.help : "commands of " + command.path.front());
  }
  std::string text =
      "#compdef vit22b\n_vit22b_words() { compadd -S '' -- \"$@\"; _files }\n"
      "_vit22b() {\n  local -a commands=(\n";
  for (const auto& [name, help] : helps) text += concat("    '", name, ":", help, "'\n");
  text +=
      "  )\n  if ((CURRENT == 2)); then _describe command commands; return; fi\n"
      "  case ${words[2]} in\n";
  for (const auto& [name, below] : by_first) {
    text += concat("    ", name, ")\n");
    if (below.front()->path.size() == 1) {
      text += concat("      ", zsh_arguments(*below.front()), "\n      ;;\n");
      continue;
    }
    text += "      if ((CURRENT == 3)); then compadd";
    for (const Command* command : below) text += " " + command->path.back();
    text += "; return; fi\n      case ${words[3]} in\n";
    for (const Command* command : below)
      text += concat("      ", command->path.back(), ") ", zsh_arguments(*command), " ;;\n");
    text += "      esac\n      ;;\n";
  }
  return text + "  esac\n}\n_vit22b \"$@\"\n";
}

std::string fish_script(const std::vector<Command>& commands) {
  std::string text = "# fish completion of vit22b\n";
  std::set<std::string> groups;
  for (const Command& command : commands) {
    const std::string& first = command.path.front();
    std::string condition = "__fish_seen_subcommand_from " + first;
    if (command.path.size() == 1) {
      text += concat("complete -c vit22b -f -n __fish_use_subcommand -a ", first, " -d '",
                     command.help, "'\n");
    } else {
      if (groups.insert(first).second)
        text += concat("complete -c vit22b -f -n __fish_use_subcommand -a ", first,
                       " -d 'commands of ", first, "'\n");
      text += concat("complete -c vit22b -f -n '", condition, "' -a ", command.path.back(), " -d '",
                     command.help, "'\n");
      condition += "; and __fish_seen_subcommand_from " + command.path.back();
    }
    for (const Flag& flag : command.flags)
      text += concat("complete -c vit22b -n '", condition, "' -l ", flag.name.substr(2),
                     flag.takes_value ? " -r" : "", " -d '", flag.help, "'\n");
    if (!command.words.empty())
      text +=
          concat("complete -c vit22b -n '", condition, "' -a '", join(command.words, " "), "'\n");
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& app) {
  auto kind = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "completion", "a shell's completion script, or the manual page, on standard output");
  command->add_option("kind", *kind, "bash, zsh, fish or man")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
  command->callback([kind, &app] {
    const std::vector<Command> commands = all_commands(app);
    if (*kind == "bash") print_out(bash_script(commands));
    if (*kind == "zsh") print_out(zsh_script(commands));
    if (*kind == "fish") print_out(fish_script(commands));
    if (*kind == "man") print_out(manual_page(app));
  });
}

}  // namespace vit22b
