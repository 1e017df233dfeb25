#include "cli/bench.h"

#include <CLI/CLI.hpp>

namespace vit22b {

void BenchFlags::add_to(CLI::App& command, unsigned chosen) {
  command.add_option("name", name, "preset")->required();
  add_overrides(command, overrides);
  command.add_option("--batch", batch, "images a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command.add_option("--repeats", repeats, "timed runs of each, in turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  if ((chosen & kHalfWeights) != 0)
    command.add_flag("--bf16-weights", has_half_weights,
                     "keep matrices in bfloat16, updated with stochastic rounding");
  add_common_flags(command, common, chosen);
}

void add_bench(CLI::App& app) {
  CLI::App* group = app.add_subcommand("bench", "speed, with answers checked first");
  group->require_subcommand(1);
  add_bench_model(*group);
  add_bench_kernels(*group);
  add_bench_ring(*group);
  add_bench_stream(*group);
  add_bench_probe(*group);
  add_bench_lit(*group);
  add_bench_corruptions(*group);
}

}  // namespace vit22b
