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
  int64_t key = 0;
};

/// Which test samples some runs have right: [S, M] float64, one row a run.
struct Right {
  at::Tensor right_SM;
  at::Tensor labels_M;
};

/// The classes that a run predicted, [S, M]: `predicted`, the best of `logits`, or `predicted.K` of
/// several numbers of neighbours or shots.
at::Tensor predicted_of(const SafetensorsFile& file, int64_t key) {
  if (key == 0 && file.contains("predicted")) return file.load("predicted");
  if (key == 0 && file.contains("logits")) return file.load("logits").argmax(1).unsqueeze(0);
  if (key > 0) return file.load(concat("predicted.", key));
  std::vector<std::string> names;
  for (const auto& [name, entry] : file.entries())
    if (name.starts_with("predicted.")) names.push_back(name);
  if (names.size() == 1) return file.load(names.front());
  throw UsageError(file.path().string(),
                   names.empty() ? " has neither `predicted` nor `logits`"
                                 : concat(" has ", join(names, ", "), "; choose one with --k"));
}

Right read_runs(const std::vector<std::string>& paths, int64_t key) {
  Right all;
  std::vector<at::Tensor> rows;
  for (const std::string& path : paths) {
    const SafetensorsFile file(path);
    const at::Tensor labels = file.load("labels");
    if (!all.labels_M.defined()) all.labels_M = labels;
    if (!labels.equal(all.labels_M))
      throw DataError(path, " is of other test samples than ", paths.front());
    const at::Tensor predicted = predicted_of(file, key);
    rows.push_back(predicted.eq(labels.unsqueeze(0)).to(at::kDouble));
  }
  all.right_SM = at::cat(rows);
  return all;
}

void run_compare(const CompareFlags& flags) {
  begin_command(flags.common);
  const Right ours = read_runs(flags.runs, flags.key), theirs = read_runs(flags.against, flags.key);
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
  command
      ->add_option("--k", flags->key,
                   "of files with `predicted.K` (knn, fewshot), the number of neighbours or shots")
      ->check(CLI::Range(1, 1'000'000));
  add_common_flags(*command, flags->common, kSeed | kJson);
  command->callback([flags] { run_compare(*flags); });
}

}  // namespace vit22b
