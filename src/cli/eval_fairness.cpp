#include <CLI/CLI.hpp>

#include "cli/eval_measures.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "data/splits.h"
#include "measure/fairness.h"

namespace vit22b {
namespace {

struct FairnessFlags {
  const CLI::App* command = nullptr;  ///< which options were given
  CommonFlags common;
  std::string table, fit_part = "50%";
  FairnessColumns columns;
  FairnessOptions options;
};

void run_fairness(const FairnessFlags& flags) {
  begin_command(flags.common);
  FairnessOptions options = flags.options;
  const auto part = percent(flags.fit_part);
  if (!part) throw UsageError("--fit-part ", flags.fit_part, ": want a share such as 50%");
  options.fit_part = *part;
  options.seed = static_cast<uint64_t>(flags.common.seed);
  FairnessColumns columns = flags.columns;
  columns.is_prediction_named = flags.command->count("--prediction") > 0;
  columns.is_score_named = flags.command->count("--score") > 0;
  Result result = measure_fairness(read_fairness_table(flags.table, columns), options);
  result.settings.insert(result.settings.begin(), {"table", flags.table});
  tell_result(flags.common, result);
}

}  // namespace

void add_eval_fairness(CLI::App& eval) {
  auto fairness = std::make_shared<FairnessFlags>();
  CLI::App* command =
      eval.add_subcommand("fairness", "accuracy and rates by group, gaps, randomised thresholds");
  fairness->command = command;
  command->add_option("--table", fairness->table, "CSV or TSV with a row a sample")->required();
  command->add_option("--label", fairness->columns.label, "its column of the truth")
      ->capture_default_str();
  command->add_option("--prediction", fairness->columns.prediction, "of the decisions")
      ->capture_default_str();
  command->add_option("--score", fairness->columns.score, "of the chances of the positive class")
      ->capture_default_str();
  command->add_option("--group", fairness->columns.group, "of the groups")->capture_default_str();
  command
      ->add_option("--fit-part", fairness->fit_part,
                   "part of each group that randomised thresholds are fitted to")
      ->capture_default_str();
  command->add_option("--gamma", fairness->options.gamma, "how much thresholds leave to chance")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 2.0));
  add_common_flags(*command, fairness->common, kSeed | kOut | kJson,
                   "also write the JSON result here");
  command->callback([fairness] { run_fairness(*fairness); });
}

}  // namespace vit22b
