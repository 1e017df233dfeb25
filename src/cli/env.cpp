#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/text.h"
#include "dist/launch.h"
#include "kernels/cpu/tile.h"

namespace vit22b {

void add_env(CLI::App& app) {
  auto flags = std::make_shared<CommonFlags>();
  CLI::App* command = app.add_subcommand("env", "libtorch, CPU features, threads, GPU and paths");
  add_common_flags(*command, *flags, kDevice | kJson);
  command->callback([flags] {
    const Device device = begin_command(*flags);
    nlohmann::ordered_json json;
    std::string text;
    auto report = environment_report(device);
    report.emplace_back("kernels", cpu::kernels_in_use());
    report.emplace_back("launcher", detect_launcher().text());
    for (const auto& [name, value] : report) {
      json[name] = value;
      text += concat(name, std::string(name.size() < 22 ? 22 - name.size() : 1, ' '), value, "\n");
    }
    print_out(flags->is_json ? json.dump(1) + "\n" : text);
  });
}

}  // namespace vit22b
