#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/checkpoint_flags.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "core/text.h"
#include "measure/comparison.h"
#include "measure/model_comparison.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  const CLI::App* command = nullptr;
  CommonFlags common;
  std::vector<std::string> runs, against;
  std::string images;
  LoaderFlags loader;
  int64_t key = 0;
};

/// Two checkpoints on the same pictures.
void run_on_images(const CompareFlags& flags) {
  if (flags.runs.size() != 2)
    throw UsageError("--images compares two checkpoints, got ", flags.runs.size());
  refuse_options(*flags.command, {"--against", "--k", "--seed"}, "is of files of predictions");
  const Device device = begin_command(flags.common);
  const std::shared_ptr<const DataSource> source = open_pictures(flags.images);
  const PredictorOptions options = predictor_options(flags.common, device);
  LoadedModel first = load_predictor(flags.runs[0], options),
              second = load_predictor(flags.runs[1], options);
  Result result =
      compare_models(first, second, *source,
                     eval_options(flags.loader, flags.common.is_quiet, "pictures", source->size()));
  result.settings.insert(result.settings.begin(),
                         {{"against", flags.runs[1]}, {"images", flags.images}});
  result.provenance.checkpoint = first.checkpoint.path().string();
  result.provenance.fingerprint = source->fingerprint();
  result.provenance.command = "vit22b " + join(command_words(), " ");
  tell_result(flags.common, result);
}

void run_compare(const CompareFlags& flags) {
  if (!flags.images.empty()) return run_on_images(flags);
  if (flags.against.empty())
    throw UsageError(
        "give --against FILE of the other predictions, or two checkpoints and "
        "--images DIR");
  refuse_options(*flags.command,
                 {"--batch", "--workers", "--max-bad-fraction", "--max-pixels", "--device",
                  "--precision", "--engine", "--store", "--out"},
                 "goes with --images");
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
      "compare",
      "the paired difference of accuracies on the same samples, or how alike two models see");
  flags->command = command;
  command
      ->add_option("runs", flags->runs,
                   "safetensors files with `labels`, and `predicted` or `logits`, one a run; with "
                   "--images two checkpoints")
      ->required();
  command->add_option("--against", flags->against, "as many files of the other kind, in order");
  command->add_option("--images", flags->images,
                      "SRC or folder of pictures: cosines of both checkpoints' features, their "
                      "answers, linear CKA");
  command
      ->add_option("--k", flags->key,
                   "of files with `predicted.K` (knn, fewshot), the number of neighbours or shots")
      ->check(CLI::Range(1, 1'000'000));
  add_loader_flags(*command, flags->loader);
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "with --images: also write the JSON result here");
  command->callback([flags] { run_compare(*flags); });
}

}  // namespace vit22b
