#include "cli/measured_model.h"

#include <filesystem>

#include "checkpoint/run_checkpoint.h"
#include "cli/image_input.h"
#include "core/log.h"
#include "core/watch.h"
#include "data/sources/picture_walk.h"

namespace vit22b {
namespace {

/// A split by its name, or a source of its own.
SplitFlags split_of(const SplitFlags& base, const std::string& word) {
  SplitFlags split = base;
  std::error_code error;
  if (word.find(':') != std::string::npos || std::filesystem::exists(word, error))
    split.data = word, split.split.clear();
  else
    split.split = word;
  return split;
}

}  // namespace

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
  if (!word.empty()) data_flags.split = split_of(data_flags.split, word);
  EvalData data = open_eval_data(flags_.checkpoint, model_, data_flags);
  data.tell();
  if (!word.empty()) return data;
  settings_ = data.settings();
  provenance_ = {model_.checkpoint.path().string(),
                 saved_step(model_.checkpoint.folder),
                 data.split.text,
                 data.split.split,
                 data.split.source->fingerprint(),
                 "vit22b " + join(command_words(), " ")};
  return data;
}

PredictedSet MeasuredModel::labelled(const std::string& word, bool wants_pooled) {
  const EvalData data = open(word);
  EvalOptions options = eval_options(flags_, "predict", data.split.source->size());
  options.classes = data.classes;
  return predict_all(*model_.predictor, *data.split.source, transforms_, options,
                     {.class_names = data.answer_names(), .wants_pooled = wants_pooled});
}

Robustness MeasuredModel::robustness(RobustnessRequest request) {
  const EvalData data = open("");
  EvalOptions options = eval_options(flags_, "eval", data.split.source->size());
  options.classes = data.classes;
  const auto config = run_config(flags_.checkpoint);
  request.evaluator = {config ? config->loss : "softmax", data.answer_names()};
  return measure_robustness(*model_.predictor, data.split.source, transforms_, options, request);
}

PredictedSet MeasuredModel::unlabelled(const std::string& word, bool wants_pooled) {
  std::error_code error;
  std::shared_ptr<const DataSource> source;
  if (std::filesystem::is_directory(word, error) && has_own_pictures(word)) {
    source = open_image_files({word}, "");
    log_info(concat(word, ": ", source->size(), " pictures"));
  } else {
    const SplitFlags base{.data = "", .split = "", .source = flags_.data.split.source};
    const ChosenSplit split = choose_split("", split_of(base, word));
    log_info(split.as_text());
    source = split.source;
  }
  return predict_all(*model_.predictor, *source, transforms_,
                     eval_options(flags_, "predict", source->size()),
                     {.wants_pooled = wants_pooled, .has_labels = false});
}

void MeasuredModel::describe(Result& result) const {
  result.settings.insert(result.settings.begin(), settings_.begin(), settings_.end());
  result.provenance = provenance_;
}

}  // namespace vit22b
