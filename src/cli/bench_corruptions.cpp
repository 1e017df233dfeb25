#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "core/alternation.h"
#include "core/error.h"
#include "data/corruptions/corruption.h"

namespace vit22b {
namespace {

struct CorruptionBenchFlags {
  CommonFlags common;
  int64_t side = 224, repeats = 5;
};

void run_bench_corruptions(const CorruptionBenchFlags& flags) {
  begin_command(flags.common);
  const at::Tensor picture = at::randint(256, {flags.side, flags.side, 3}, at::kByte);
  std::vector<Contender> acts;
  for (const auto& [name, group] : corruptions()) {
    // What it gives is compared with the Python package's in data_test; here that it is determined.
    if (!at::equal(corrupted(picture, name, 1, 0), corrupted(picture, name, 1, 0)))
      throw NumbersError("bench: ", name, " of one number gives two pictures");
    acts.push_back({name, [&picture, name = name] {
                      for (int64_t severity = 1; severity <= 5; ++severity)
                        corrupted(picture, name, severity, 0);
                    }});
  }
  nlohmann::ordered_json seconds;
  std::string text;
  double all = 0;
  const std::vector<Timing> timings = alternate(acts, flags.repeats);
  for (size_t i = 0; i < acts.size(); ++i) {
    seconds[acts[i].name] = timings[i].median;
    all += timings[i].median;
    text += concat(formatted("%8.2f ms  ", 1e3 * timings[i].median), acts[i].name, "\n");
  }
  const nlohmann::ordered_json json = {{"seconds", seconds}, {"seconds_of_all", all}};
  print_out(flags.common.is_json
                ? json.dump(1) + "\n"
                : concat(text, formatted("%8.2f ms  all, five severities each\n", 1e3 * all)));
}

}  // namespace

void add_bench_corruptions(CLI::App& group) {
  auto flags = std::make_shared<CorruptionBenchFlags>();
  CLI::App* command =
      group.add_subcommand("corruptions", "a picture in five severities of each corruption");
  command->add_option("--size", flags->side, "pixels of a side")
      ->capture_default_str()
      ->check(CLI::Range(8, 4096));
  command->add_option("--repeats", flags->repeats, "timed runs of each, in turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  add_common_flags(*command, flags->common, kJson);
  command->callback([flags] { run_bench_corruptions(*flags); });
}

}  // namespace vit22b
