#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/eval_measures.h"
#include "cli/head_command.h"
#include "cli/measured_model.h"
#include "cli/result_output.h"
#include "core/error.h"
#include "core/log.h"
#include "measure/human.h"
#include "measure/human_categories.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

struct HumanFlags {
  MeasureFlags measure;
  std::string csv, stimuli, write_csv, categories = "people";
};

/// A name as a part of a file's and as a field of a table.
std::string observer_name(const std::string& checkpoint) {
  std::string name = fs::path(checkpoint).lexically_normal().filename().string();
  if (name.empty())
    name = fs::path(checkpoint).lexically_normal().parent_path().filename().string();
  for (char& c : name)
    if (c == '_' || c == ',' || c == '"') c = '-';
  return name;
}

/// What a model says of one experiment's images.
Observer observed(MeasuredModel& model, const CategoryMap& map, const std::string& experiment,
                  const fs::path& folder, const std::string& name) {
  const Predictions said = model.unlabelled(folder.string(), false).predictions;
  Observer observer{name, false, {}};
  constexpr int64_t kRows = 1024;
  for (int64_t first = 0; first < said.size(); first += kRows) {
    const at::Tensor logits = said.logits(first, std::min(kRows, said.size() - first));
    const at::Tensor decided = decided_categories(at::softmax(logits.to(at::kDouble), 1), map);
    for (int64_t i = 0; i < decided.size(0); ++i) {
      const fs::path image = said.ids.at(static_cast<size_t>(first + i));
      Trial trial = trial_of(experiment, image.filename().string(), map.names);
      trial.response = map.names[static_cast<size_t>(decided[i].item<int64_t>())];
      observer.trials.push_back(std::move(trial));
    }
  }
  return observer;
}

/// Adds a model's answers to every experiment whose images are there.
std::string add_model(const HumanFlags& flags, Experiments& experiments) {
  MeasuredModel model(flags.measure, begin_command(flags.measure.common));
  const CategoryMap map =
      flags.categories == "own" ? own_categories(model.named()) : category_map(model.named());
  const std::string name = observer_name(flags.measure.checkpoint);
  std::error_code error;
  if (!fs::is_directory(flags.stimuli, error))
    throw DataError("--stimuli ", flags.stimuli, " is no folder");
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(flags.stimuli))
    if (entry.is_directory() && !entry.path().filename().string().starts_with("."))
      folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  if (folders.empty())
    throw DataError(flags.stimuli, " has no folders; want one an experiment, such as ",
                    flags.stimuli, "/cue-conflict");
  for (const fs::path& folder : folders) {
    const std::string experiment = folder.filename().string();
    for (const Observer& other : experiments[experiment])
      if (other.name == name)
        throw UsageError(flags.csv, " has answers of '", name, "' to ", experiment,
                         " already; take them out, or leave --stimuli out");
    Observer observer = observed(model, map, experiment, folder, name);
    if (!flags.write_csv.empty()) {
      FileOps ops;
      ops.make_folder(flags.write_csv);
      write_text(ops, fs::path(flags.write_csv) / concat(experiment, "_", name, "_session-1.csv"),
                 trials_csv(observer));
    }
    experiments[experiment].push_back(std::move(observer));
  }
  return map.by;
}

void run_human(const HumanFlags& flags) {
  if (flags.csv.empty() && flags.stimuli.empty())
    throw UsageError("give --csv DIR of tables, or a checkpoint and --stimuli DIR of images");
  if (flags.measure.checkpoint.empty() != flags.stimuli.empty())
    throw UsageError(flags.stimuli.empty() ? "a checkpoint goes with --stimuli DIR of images"
                                           : "--stimuli goes with a checkpoint");
  if (!flags.write_csv.empty() && flags.stimuli.empty())
    throw UsageError("--write-csv goes with a checkpoint and --stimuli");
  Experiments experiments;
  if (!flags.csv.empty()) experiments = read_human_trials(flags.csv);
  std::string by;
  if (!flags.stimuli.empty())
    by = add_model(flags, experiments);
  else
    begin_command(flags.measure.common);
  Result result = measure_human(experiments);
  if (!by.empty()) result.settings.insert(result.settings.begin(), {"categories_by", by});
  if (!flags.csv.empty()) result.settings.insert(result.settings.begin(), {"csv", flags.csv});
  tell_result(flags.measure.common, result);
}

}  // namespace

void add_eval_human(CLI::App& eval) {
  auto flags = std::make_shared<HumanFlags>();
  CLI::App* command = eval.add_subcommand(
      "human", "how alike models are to people: error consistency, shape bias (model-vs-human)");
  flags->measure.command = command;
  command->add_option("checkpoint", flags->measure.checkpoint,
                      "checkpoint of ImageNet's classes, or of the sixteen categories");
  add_pixel_flags(*command, flags->measure.pixels);
  add_labels_flag(*command, flags->measure.labels);
  add_class_text_flags(*command, flags->measure.texts,
                       "of a two-tower checkpoint: file of its classes, a name a line");
  add_tokenizer_flag(*command, flags->measure.tokenizer);
  add_loader_flags(*command, flags->measure.loader, /*largest_batch=*/1'000'000);
  command->add_option("--csv", flags->csv,
                      "folder of model-vs-human's tables, people's and models'");
  command->add_option("--stimuli", flags->stimuli,
                      "folder with a folder of images for each experiment, for the checkpoint");
  command
      ->add_option("--categories", flags->categories,
                   "people's sixteen, or own: the checkpoint's classes, for images of one's own")
      ->capture_default_str()
      ->check(CLI::IsMember({"people", "own"}));
  command->add_option("--write-csv", flags->write_csv, "write the checkpoint's tables here");
  add_common_flags(*command, flags->measure.common, kDevice | kPrecision | kStore | kOut | kJson,
                   "also write the JSON result here");
  command->callback([flags] { run_human(*flags); });
}

}  // namespace vit22b
