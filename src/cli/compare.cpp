#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/error.h"
#include "eval/prediction_file.h"
#include "metrics/interval.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  CommonFlags common;
  std::vector<std::string> runs, against;
  int64_t key = 0;
};

/// Which samples some runs have right, [S, M] float64, one row a run; all of the samples of
/// `first`.
at::Tensor read_runs(const std::vector<std::string>& paths, int64_t key,
                     const PredictionFile& first) {
  std::vector<at::Tensor> rows;
  for (const std::string& path : paths) {
    const PredictionFile file(path);
    if (path != first.path()) file.check_same_samples(first);
    rows.push_back(file.predicted(key).eq(first.labels().unsqueeze(0)).to(at::kDouble));
  }
  return at::cat(rows);
}

void run_compare(const CompareFlags& flags) {
  begin_command(flags.common);
  const PredictionFile first(flags.runs.front());
  const at::Tensor ours_SM = read_runs(flags.runs, flags.key, first),
                   theirs_SM = read_runs(flags.against, flags.key, first);
  if (ours_SM.size(0) != theirs_SM.size(0))
    throw UsageError(ours_SM.size(0), " runs against ", theirs_SM.size(0),
                     "; give pairs, in order");
  const at::Tensor gain = ours_SM - theirs_SM;
  const metrics::Interval interval =
      metrics::bootstrap_interval(gain, static_cast<uint64_t>(flags.common.seed));
  Json by_run = Json::array();
  for (int64_t i = 0; i < gain.size(0); ++i)
    by_run.push_back({{"accuracy", ours_SM[i].mean().item<double>()},
                      {"against", theirs_SM[i].mean().item<double>()}});
  const double mean = gain.mean().item<double>();
  const Json json = {{"difference", mean},
                     {"confidence_interval", {interval.low, interval.high}},
                     {"runs", by_run}};
  std::string text;
  char line[160];
  for (const Json& run : by_run) {
    std::snprintf(line, sizeof line, "%.2f %% against %.2f %%\n",
                  100 * run["accuracy"].get<double>(), 100 * run["against"].get<double>());
    text += line;
  }
  std::snprintf(line, sizeof line,
                "difference %+.2f %%  (95 %% over samples and runs: %+.2f to %+.2f)\n", 100 * mean,
                100 * interval.low, 100 * interval.high);
  print_out(flags.common.is_json ? json.dump(1) + "\n" : text + line);
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
