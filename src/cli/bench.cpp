#include "cli/bench.h"

#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace vit22b {

void add_bench(CLI::App& app) {
  CLI::App* group = app.add_subcommand("bench", "speed, with answers checked first");
  group->require_subcommand(1);
  add_bench_model(*group);
  add_bench_kernels(*group);
}

}  // namespace vit22b
