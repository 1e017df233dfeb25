#include <CLI/CLI.hpp>

#include "cli/eval_measures.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "measure/perceptual.h"

namespace vit22b {
namespace {

struct PerceptualFlags {
  MeasureFlags measure;
  std::string data;
};

void run_perceptual(const PerceptualFlags& flags) {
  const MeasureFlags& measure = flags.measure;
  refuse_options(*measure.command, {"--max-bad-fraction"}, "of triplets no picture may be missing");
  const Device device = begin_command(measure.common);
  const std::vector<TwoChoices> sets = read_two_choices(flags.data);
  int64_t num_pictures = 0;
  for (const TwoChoices& set : sets) num_pictures += 3 * std::ssize(set.reference);
  LoadedModel model = open_classifier(measure, device);
  Result result = measure_perceptual(model, sets, eval_options(measure, "pictures", num_pictures),
                                     static_cast<uint64_t>(measure.common.seed));
  result.settings.emplace_back("data", flags.data);
  result.provenance.checkpoint = model.checkpoint.path().string();
  result.provenance.command = "vit22b " + join(command_words(), " ");
  tell_result(measure.common, result);
}

}  // namespace

void add_eval_perceptual(CLI::App& eval) {
  auto flags = std::make_shared<PerceptualFlags>();
  CLI::App* command = eval.add_subcommand(
      "perceptual", "how often a model finds nearer what people find nearer (2AFC, BAPPS)");
  MeasureFlags& measure = flags->measure;
  measure.command = command;
  command->add_option("checkpoint", measure.checkpoint, "checkpoint or run folder")->required();
  command
      ->add_option("--data", flags->data,
                   "folder of sets with ref/, p0/, p1/ and judge/, such as 2afc/val")
      ->required();
  add_pixel_flags(*command, measure.pixels);
  add_loader_flags(*command, measure.loader, /*largest_batch=*/1'000'000);
  add_common_flags(*command, measure.common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "also write the JSON result here");
  command->callback([flags] { run_perceptual(*flags); });
}

}  // namespace vit22b
