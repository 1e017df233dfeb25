#include "cli/measured_model.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "checkpoint/run_checkpoint.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/log.h"
#include "core/watch.h"

namespace vit22b {
namespace {

/// A split of the data by its name; a source of its own has a colon or a slash.
SplitFlags split_of(const SplitFlags& base, const std::string& word) {
  SplitFlags split = base;
  if (word.find_first_of(":/") != std::string::npos)
    split.data = word, split.split.clear();
  else
    split.split = word;
  return split;
}

}  // namespace

CLI::Option* add_model_flags(CLI::App& command, MeasureFlags& flags) {
  flags.command = &command;
  CLI::Option* checkpoint =
      command.add_option("checkpoint", flags.checkpoint, "checkpoint or run folder");
  add_pixel_flags(command, flags.pixels);
  add_labels_flag(command, flags.labels);
  add_eval_data_flags(command, flags.data);
  add_loader_flags(command, flags.loader, /*largest_batch=*/1'000'000);
  return checkpoint;
}

void add_logits_flag(CLI::App& command, MeasureFlags& flags) {
  command.add_option("--logits", flags.logits,
                     "instead of a checkpoint: a safetensors file with `logits` [N, C] and "
                     "`labels` [N], of this program's `features` or of another's");
}

EvalOptions eval_options(const MeasureFlags& flags, const std::string& what, int64_t count) {
  return {.batch_size = flags.loader.batch,
          .num_workers = flags.loader.workers,
          .max_bad_fraction = flags.loader.max_bad_fraction,
          .max_pixels = flags.loader.max_pixels,
          .watch = watch_with_progress(what, count, flags.common.is_quiet)};
}

MeasuredModel::MeasuredModel(const MeasureFlags& flags, const Device& device)
    : flags_(flags),
      model_(open_checkpoint({flags.checkpoint, flags.pixels, flags.labels},
                             predictor_options(flags.common, device))),
      transforms_(model_.info.pp_eval) {}

EvalData MeasuredModel::open(const std::string& word) {
  EvalDataFlags data_flags = flags_.data;
  if (!word.empty()) {
    data_flags.split = split_of(data_flags.split, word);
    data_flags.checks_overlap = false;  // that is of what is tested
  }
  EvalData data = open_eval_data(flags_.checkpoint, model_, data_flags);
  data.tell();
  if (!word.empty()) {
    check_other(data, word);
    return data;
  }
  classes_ = data.classes;
  settings_ = data.settings();
  provenance_ = {model_.checkpoint.path().string(),
                 saved_step(model_.checkpoint.folder),
                 data.split.text,
                 data.split.split,
                 data.split.source->fingerprint(),
                 "vit22b " + join(command_words(), " ")};
  return data;
}

void MeasuredModel::check_other(const EvalData& data, const std::string& word) {
  if (data.split.source->fingerprint() == provenance_.fingerprint)
    throw UsageError(word, " is what is tested, the same samples; give others, or --fit-part 20%");
  if (data.classes != classes_)
    throw UsageError("--restrict: ", word, " has other classes than the tested samples");
  settings_.emplace_back("fitted_to", data.split.as_text());
}

PredictedSet MeasuredModel::labelled(const std::string& word, bool wants_pooled) {
  const EvalData data = open(word);
  EvalOptions options = eval_options(flags_, "predict", data.split.source->size());
  options.classes = classes_;
  return kept(predict_all(*model_.predictor, *data.split.source, transforms_, options,
                          {.class_names = data.answer_names(), .wants_pooled = wants_pooled}));
}

Robustness MeasuredModel::robustness(RobustnessRequest request,
                                     const RobustnessReference* reference) {
  const EvalData data = open("");
  if (reference != nullptr) reference->check(request.severities, provenance_.fingerprint);
  EvalOptions options = eval_options(flags_, "eval", data.split.source->size());
  options.classes = data.classes;
  const auto config = run_config(flags_.checkpoint);
  request.evaluator = {config ? config->loss : "softmax", data.answer_names()};
  return measure_robustness(*model_.predictor, data.split.source, transforms_, options, request);
}

PredictedSet MeasuredModel::unlabelled(const std::string& word, bool wants_pooled) {
  std::error_code error;
  std::shared_ptr<const DataSource> source;
  if (std::filesystem::is_directory(word, error)) {
    source = open_image_files({word}, "");
    log_info(concat(word, ": ", source->size(), " pictures"));
  } else {
    const SplitFlags base{.data = "", .split = "", .source = flags_.data.split.source};
    const ChosenSplit split = choose_split("", split_of(base, word));
    log_info(split.as_text());
    source = split.source;
  }
  EvalOptions options = eval_options(flags_, "predict", source->size());
  options.classes = classes_;
  return kept(predict_all(*model_.predictor, *source, transforms_, options,
                          {.wants_pooled = wants_pooled, .has_labels = false}));
}

PredictedSet MeasuredModel::kept(PredictedSet set) {
  bad_samples_.insert(bad_samples_.end(), set.bad_samples.begin(), set.bad_samples.end());
  return set;
}

void MeasuredModel::describe(Result& result) const {
  result.settings.insert(result.settings.begin(), settings_.begin(), settings_.end());
  result.provenance = provenance_;
  result.bad_samples.insert(result.bad_samples.end(), bad_samples_.begin(), bad_samples_.end());
}

}  // namespace vit22b
