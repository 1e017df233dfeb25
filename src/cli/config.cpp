#include "train/config.h"

#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace vit22b {
namespace {

struct ConfigFlags {
  std::string file;
  std::vector<std::string> overrides;
};

TrainConfig read(const ConfigFlags& flags) {
  ConfigTree tree;
  if (!flags.file.empty()) tree = read_config_file(flags.file);
  apply_overrides(tree, flags.overrides);
  return train_config_from_tree(tree);
}

}  // namespace

void add_config(CLI::App& app) {
  CLI::App* group = app.add_subcommand("config", "look at training configs");
  group->require_subcommand(1);
  auto flags = std::make_shared<ConfigFlags>();
  CLI::App* show = group->add_subcommand(
      "show", "the resolved config as TOML; without a file, every key with its default");
  show->add_option("config", flags->file, "TOML file");
  add_overrides(*show, flags->overrides);
  show->callback([flags] {
    TrainConfig config;
    if (flags->file.empty())
      print_out(option_table([&](FieldVisitor& v) { config.fields(v); }));
    else
      print_out(to_toml(read(*flags)));
  });
  CLI::App* check = group->add_subcommand("check", "says whether a config would be taken");
  check->add_option("config", flags->file, "TOML file")->required();
  add_overrides(*check, flags->overrides);
  check->callback([flags] {
    read(*flags);
    print_out(flags->file + ": good\n");
  });
}

}  // namespace vit22b
