#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/text.h"
#include "measure/comparison.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  CommonFlags common;
  std::vector<std::string> runs, against;
  int64_t key = 0;
};

void run_compare(const CompareFlags& flags) {
  begin_command(flags.common);
  const PairedDifference difference = compare_predictions(flags.runs, flags.against, flags.key,
                                                          static_cast<uint64_t>(flags.common.seed));
  Json by_run = Json::array();
  for (const auto& [accuracy, against] : difference.runs)
    by_run.push_back({{"accuracy", accuracy}, {"against", against}});
  const metrics::Interval& interval = difference.interval;
  const Json json = {{"difference", difference.mean},
                     {"confidence_interval", {interval.low, interval.high}},
                     {"runs", by_run}};
  std::string text;
  for (const auto& [accuracy, against] : difference.runs)
    text += formatted("%.2f %%", 100 * accuracy) + formatted(" against %.2f %%\n", 100 * against);
  text += formatted("difference %+.2f %%  (95 %% over samples and runs: ", 100 * difference.mean) +
          formatted("%+.2f to ", 100 * interval.low) + formatted("%+.2f)\n", 100 * interval.high);
  print_out(flags.common.is_json ? json.dump(1) + "\n" : text);
}

}  // namespace

void add_compare(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app.add_subcommand(
      "compare", "the paired difference of accuracies on the same test samples, with its interval");
  command
      ->add_option("runs", flags->runs,
                   "safetensors files with `labels`, and `predicted` or `logits`, one a run")
      ->required();
  command->add_option("--against", flags->against, "as many files of the other kind, in order")
      ->required();
  command
      ->add_option("--k", flags->key,
                   "of files with `predicted.K` (knn, fewshot), the number of neighbours or shots")
      ->check(CLI::Range(1, 1'000'000));
  add_common_flags(*command, flags->common, kSeed | kJson);
  command->callback([flags] { run_compare(*flags); });
}

}  // namespace vit22b
