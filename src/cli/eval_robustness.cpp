#include <CLI/CLI.hpp>
#include <map>

#include "cli/eval_measures.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "data/corrupted_source.h"
#include "data/corruptions/corruption.h"
#include "measure/robustness.h"
#include "measure/variants.h"

namespace vit22b {
namespace {

struct RobustnessFlags {
  MeasureFlags measure;
  std::string corruptions = "all", severities = "1,2,3,4,5", reference;
  std::vector<std::string> sets, maps;  ///< NAME=SRC, NAME=FILE
  std::string real, crops = "model", baselines;
};

/// The parts of words NAME=REST, each name once.
std::map<std::string, std::string> named_words(const std::vector<std::string>& words,
                                               const std::string& option) {
  std::map<std::string, std::string> named;
  for (const std::string& word : words) {
    const size_t at = word.find('=');
    const std::string name = word.substr(0, at);
    if (at == std::string::npos || at == 0 || at + 1 == word.size() ||
        name.find_first_of("./") != std::string::npos)
      throw UsageError(option, " ", word, ": want NAME=", option == "--set" ? "SRC" : "FILE",
                       ", the name without dots and slashes");
    if (!named.emplace(name, word.substr(at + 1)).second)
      throw UsageError(option, " ", name, " is there twice");
  }
  return named;
}

/// The sets in the order of the command line.
std::vector<VariantRequest> chosen_sets(const RobustnessFlags& flags) {
  const std::map<std::string, std::string> sources = named_words(flags.sets, "--set");
  std::map<std::string, std::string> maps = named_words(flags.maps, "--set-map");
  std::vector<VariantRequest> requests;
  for (const std::string& word : flags.sets) {
    const std::string name = word.substr(0, word.find('='));
    if (name == "real" && !flags.real.empty())
      throw UsageError("--set real: --real gives a set of that name");
    const bool has_paper_crop = flags.crops == "paper" && (name == "a" || name == "objectnet");
    requests.push_back({name, sources.at(name), maps[name], has_paper_crop ? "paper" : "model"});
  }
  if (flags.crops == "paper" && sources.count("a") + sources.count("objectnet") == 0)
    throw UsageError("--crops paper is of the sets `a` and `objectnet`; there is neither");
  for (const auto& [name, file] : maps)
    if (sources.count(name) == 0)
      throw UsageError("--set-map ", name, ": there is no --set ", name);
  return requests;
}

bool wants_sets(const RobustnessFlags& flags) {
  return !flags.sets.empty() || !flags.real.empty();
}

void check_sets(const RobustnessFlags& flags) {
  if (wants_sets(flags)) {
    if (flags.measure.data.is_restricted)
      throw UsageError("--restrict: a set's answers are taken from its own classes anyway");
    if (flags.measure.command->count("--corruptions") == 0)
      refuse_options(*flags.measure.command, {"--severities"},
                     "is of corruptions; with --set name some");
    if (flags.crops == "paper")
      refuse_options(*flags.measure.command, {"--crop-pct", "--pp"},
                     "--crops paper takes a crop of its own");
    return;
  }
  if (!flags.maps.empty() || !flags.baselines.empty() || flags.crops != "model")
    throw UsageError("--set-map, --baselines and --crops go with --set or --real");
}

/// What the model says of each set.
std::vector<Variant> measure_sets(const RobustnessFlags& flags,
                                  const std::vector<VariantRequest>& requests, MeasuredModel& model,
                                  const PredictedSet& tested) {
  std::vector<Variant> variants;
  if (!flags.real.empty()) variants.push_back(model.with_answers(flags.real, tested));
  for (const VariantRequest& request : requests) variants.push_back(model.variant(request, tested));
  for (Variant& variant : variants)
    if (!flags.baselines.empty()) variant.baseline = baseline_of(flags.baselines, variant.name);
  return variants;
}

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
  check_sets(flags);
  const std::vector<VariantRequest> sets = chosen_sets(flags);
  RobustnessRequest request{.severities = chosen_severities(flags.severities),
                            .seed = static_cast<uint64_t>(flags.measure.common.seed)};
  if (!wants_sets(flags) || flags.measure.command->count("--corruptions") > 0)
    request.corruptions = chosen_corruptions(flags.corruptions);
  std::optional<RobustnessReference> reference;
  if (!flags.reference.empty() && request.corruptions.empty())
    throw UsageError(
        "--reference is of corruptions; with --set name some, such as --corruptions all");
  if (flags.reference == "alexnet")
    reference = alexnet_reference();
  else if (!flags.reference.empty())
    reference = read_robustness_reference(flags.reference);
  const Device device = begin_command(flags.measure.common);
  MeasuredModel model(flags.measure, device);
  const RobustnessReference* against = reference ? &*reference : nullptr;
  std::optional<PredictedSet> tested;
  if (wants_sets(flags)) request.clean = &tested.emplace(model.labelled("", false));
  Result result = robustness_result(model.robustness(request, against), against);
  if (tested) add_variants(measure_sets(flags, sets, model, *tested), result);
  model.describe(result);
  result.settings.emplace_back("seed", flags.measure.common.seed);
  if (!request.corruptions.empty())
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
      "robustness",
      "accuracy under corruptions in five severities (mCE), and on other pictures of the classes");
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
  command
      ->add_option("--set", flags->sets,
                   "NAME=SRC: other pictures of the model's classes, such as a=imagenet-a/; then "
                   "corruptions only where they are named. Answers are taken from its own classes")
      ->allow_extra_args(false);
  command
      ->add_option("--set-map", flags->maps,
                   "NAME=FILE: which of the model's classes that set's are, as --class-map, a JSON "
                   "object, or ObjectNet's folder of mappings")
      ->allow_extra_args(false);
  command->add_option("--real", flags->real,
                      "ImageNet ReaL's real.json: the tested pictures by all that they show");
  command
      ->add_option("--crops", flags->crops,
                   "of sets: model, or paper: the middle 75 % of `a` and `objectnet`")
      ->capture_default_str()
      ->check(CLI::IsMember({"model", "paper"}));
  command->add_option("--baselines", flags->baselines,
                      "timm's folder of results-*.csv: effective robustness beside those models");
  add_common_flags(*command, measure.common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "also write the JSON result here");
  command->callback([flags] { run_robustness(*flags); });
}

}  // namespace vit22b
