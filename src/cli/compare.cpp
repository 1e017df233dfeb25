#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "cli/command.h"
#include "core/error.h"
#include "metrics/interval.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  CommonFlags common;
  std::vector<std::string> runs, against;
};

/// Which test samples some runs have right: [S, M] float64, one row a run.
struct Right {
  at::Tensor right_SM;
  at::Tensor labels_M;
};

Right read_runs(const std::vector<std::string>& paths) {
  Right all;
  std::vector<at::Tensor> rows;
  for (const std::string& path : paths) {
    const SafetensorsFile file(path);
    const at::Tensor labels = file.load("labels");
    if (!all.labels_M.defined()) all.labels_M = labels;
    if (!labels.equal(all.labels_M))
      throw DataError(path, " is of other test samples than ", paths.front());
    const at::Tensor predicted = file.contains("predicted")
                                     ? file.load("predicted")
                                     : file.load("logits").argmax(1).unsqueeze(0);
    rows.push_back(predicted.eq(labels.unsqueeze(0)).to(at::kDouble));
  }
  all.right_SM = at::cat(rows);
  return all;
}

void run_compare(const CompareFlags& flags) {
  begin_command(flags.common);
  const Right ours = read_runs(flags.runs), theirs = read_runs(flags.against);
  if (!ours.labels_M.equal(theirs.labels_M))
    throw DataError(flags.against.front(), " is of other test samples than ", flags.runs.front());
  if (ours.right_SM.size(0) != theirs.right_SM.size(0))
    throw UsageError(ours.right_SM.size(0), " runs against ", theirs.right_SM.size(0),
                     "; give pairs, in order");
  const at::Tensor gain = ours.right_SM - theirs.right_SM;
  const metrics::Interval interval =
      metrics::bootstrap_interval(gain, static_cast<uint64_t>(flags.common.seed));
  Json by_run = Json::array();
  for (int64_t i = 0; i < gain.size(0); ++i)
    by_run.push_back({{"accuracy", ours.right_SM[i].mean().item<double>()},
                      {"against", theirs.right_SM[i].mean().item<double>()}});
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
  add_common_flags(*command, flags->common, kSeed | kJson);
  command->callback([flags] { run_compare(*flags); });
}

}  // namespace vit22b
