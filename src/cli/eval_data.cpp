#include "cli/eval_data.h"

#include <CLI/CLI.hpp>

#include "cli/checkpoint_flags.h"
#include "core/error.h"
#include "core/log.h"
#include "data/overlap.h"
#include "train/data_setup.h"

namespace vit22b {
namespace {

bool has_all(const std::vector<std::string>& names, const std::vector<std::string>& wanted) {
  for (const std::string& name : wanted)
    if (std::find(names.begin(), names.end(), name) == names.end()) return false;
  return true;
}

/// The model's classes. A run may have given its data's classes other names; for its own data,
/// those count too. ImageNet's folders are called by WordNet's numbers.
KnownClasses classes_of_model(const std::string& checkpoint, const LoadedModel& model,
                              const ChosenSplit& split) {
  KnownClasses known{model.info.config.num_classes, model.info.label_names, model.wnids,
                     "the model", "; --class-map FILE says which class is which"};
  if (split.is_own && known.other_names.empty() &&
      !has_all(known.names, split.source->label_names())) {
    auto names = open_train_data(run_config(checkpoint)->data).train->label_names();
    // With more or fewer the folder is no longer as it was, and the names say nothing.
    if (names.size() == known.names.size()) known.other_names = std::move(names);
  }
  return known;
}

}  // namespace

void check_overlap_with_training(const std::string& checkpoint, const DataSource& source) {
  const auto run = run_config(checkpoint);
  if (!run)
    throw UsageError("--check-overlap: ", checkpoint,
                     " is no run folder, so its training samples are unknown");
  check_overlap(*open_train_data(run->data).train, source);
}

void add_eval_data_flags(CLI::App& command, EvalDataFlags& flags) {
  command.add_option(
      "--data", flags.split.data,
      concat(source_help(), "; a run folder knows its own, and keeps what is said of that alone"));
  add_split_flags(command, flags.split);
  add_class_map_flag(command, flags.class_map, "the model's classes the data's names are");
  command.add_flag("--restrict", flags.is_restricted,
                   "take answers from the data's own classes alone, not from all the model's");
  command.add_flag("--check-overlap", flags.checks_overlap,
                   "refuse a test that has training pictures of the run in it, by content");
}

void check_of_model_or_logits(const CLI::App& command, const std::string& checkpoint,
                              const std::string& logits) {
  if (checkpoint.empty() == logits.empty())
    throw UsageError("give a checkpoint, or --logits FILE of what a model said");
  if (logits.empty()) return;
  std::vector<std::string> of_models = pixel_flag_names();
  for (const char* name : {"--data", "--split", "--split-folders", "--restrict", "--check-overlap",
                           "--workers", "--max-bad-fraction", "--max-pixels", "--classes",
                           "--templates", "--tokenizer", "--device", "--precision", "--engine"})
    of_models.emplace_back(name);
  refuse_options(command, of_models, "goes with a checkpoint");
}

void tell_restriction(int64_t num_classes) {
  log_info(concat("restricted: answers are taken from the data's ", num_classes, " classes alone"));
}

void EvalData::tell() const {
  log_info(concat(split.as_text(), ", labels by ", labels_by));
  if (split.is_training) log_warn("the model was trained on these samples");
  if (!classes.empty()) tell_restriction(num_data_classes);
}

std::vector<std::string> EvalData::answer_names() const {
  const std::vector<std::string>& all = split.source->label_names();
  if (classes.empty()) return all;
  std::vector<std::string> names;
  for (const int64_t label : classes) names.push_back(all.at(static_cast<size_t>(label)));
  return names;
}

std::vector<std::pair<std::string, Cell>> EvalData::settings() const {
  return {{"split", split.split}, {"labels_by", labels_by}, {"restricted", !classes.empty()}};
}

EvalData open_eval_data(const std::string& checkpoint, const LoadedModel& model,
                        const EvalDataFlags& flags) {
  if (model.info.segmentation)
    throw CheckpointError(checkpoint, " names the classes of pixels; use eval segmentation");
  if (model.info.config.num_classes == 0)
    throw CheckpointError(
        checkpoint,
        " has no classifier; use probe, knn or fewshot, or of a two-tower model --classes");
  EvalData data{choose_split(checkpoint, flags.split)};
  ChosenSplit& split = data.split;
  const KnownClasses known = classes_of_model(checkpoint, model, split);
  const DataClasses own = classes_of(*split.source, split.text);
  const LabelMap map = label_map(own, known, flags.class_map);
  const std::vector<int64_t> used = classes_in_use(own, map);
  data.labels_by = map.by;
  data.num_data_classes = static_cast<int64_t>(used.size());
  if (flags.is_restricted) data.classes = used;
  if (flags.checks_overlap) check_overlap_with_training(checkpoint, *split.source);
  split.source = in_known_classes(split.source, map, known);
  return data;
}

}  // namespace vit22b
