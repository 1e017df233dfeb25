#include <CLI/CLI.hpp>

#include "cli/eval_measures.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "data/corrupted_source.h"
#include "data/corruptions/corruption.h"
#include "measure/robustness.h"

namespace vit22b {
namespace {

struct RobustnessFlags {
  MeasureFlags measure;
  std::string corruptions = "all", severities = "1,2,3,4,5", reference;
};

// "all" is the fifteen, "all,extra" the others too; else names.
std::vector<std::string> chosen_corruptions(const std::string& words) {
  std::vector<std::string> names;
  for (const std::string& word : split(words, ',')) {
    bool is_group = false;
    for (const Corruption& one : corruptions()) {
      const bool is_meant = word == "all" ? one.group != "extra" : one.group == word;
      if (is_meant) names.push_back(one.name);
      is_group |= is_meant;
    }
    if (!is_group) names.push_back(word);
  }
  return names;
}

std::vector<int64_t> chosen_severities(const std::string& words) {
  std::vector<int64_t> severities;
  for (const std::string& word : split(words, ',')) {
    if (word.size() != 1 || word[0] < '1' || word[0] > '5')
      throw UsageError("--severities ", words, ": want some of 1,2,3,4,5");
    severities.push_back(word[0] - '0');
  }
  return severities;
}

void run_robustness(const RobustnessFlags& flags) {
  const RobustnessRequest request{.corruptions = chosen_corruptions(flags.corruptions),
                                  .severities = chosen_severities(flags.severities),
                                  .seed = static_cast<uint64_t>(flags.measure.common.seed)};
  std::optional<RobustnessReference> reference;
  if (flags.reference == "alexnet")
    reference = alexnet_reference();
  else if (!flags.reference.empty())
    reference = read_robustness_reference(flags.reference);
  const Device device = begin_command(flags.measure.common);
  MeasuredModel model(flags.measure, device);
  const RobustnessReference* against = reference ? &*reference : nullptr;
  Result result = robustness_result(model.robustness(request, against), against);
  model.describe(result);
  result.settings.emplace_back("seed", flags.measure.common.seed);
  result.settings.emplace_back(
      "definitions.corruptions",
      concat("ImageNet-C's by the formulas of imagecorruptions 1.1.2, frost generated; pictures "
             "below ",
             kCorruptedSide, " pixels are corrupted at that size, larger ones at their own"));
  tell_result(flags.measure.common, result);
}

}  // namespace

void add_eval_robustness(CLI::App& eval) {
  auto flags = std::make_shared<RobustnessFlags>();
  CLI::App* command = eval.add_subcommand(
      "robustness", "accuracy, NLL and ECE under corruptions in five severities, mCE");
  MeasureFlags& measure = flags->measure;
  add_model_flags(*command, measure)->required();
  command
      ->add_option("--corruptions", flags->corruptions,
                   "names, or groups: all (of ImageNet-C), noise, blur, weather, digital, extra")
      ->capture_default_str();
  command->add_option("--severities", flags->severities, "some of 1,2,3,4,5")
      ->capture_default_str();
  command->add_option("--reference", flags->reference,
                      "whose errors mCE is a share of: `alexnet` (of ImageNet), or another model's "
                      "JSON of this command");
  add_common_flags(*command, measure.common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "also write the JSON result here");
  command->callback([flags] { run_robustness(*flags); });
}

}  // namespace vit22b
