#include "cli/measured_model.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "checkpoint/run_checkpoint.h"
#include "cli/head_command.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/log.h"
#include "core/watch.h"
#include "data/derived_sources.h"
#include "data/sources/picture_walk.h"
#include "measure/zeroshot_predictor.h"

namespace vit22b {
namespace {

// The paper's crop of ImageNet-A and ObjectNet: resized by the aspect, the middle 75 % of a side.
constexpr double kPaperCrop = 0.75;

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
  add_class_text_flags(command, flags.texts,
                       "of a two-tower checkpoint: file of its classes, a name a line");
  add_tokenizer_flag(command, flags.tokenizer);
  add_eval_data_flags(command, flags.data);
  add_loader_flags(command, flags.loader, /*largest_batch=*/1'000'000);
  return checkpoint;
}

void add_logits_flag(CLI::App& command, MeasureFlags& flags) {
  command.add_option("--logits", flags.logits,
                     "instead of a checkpoint: a safetensors file with `logits` [N, C] and "
                     "`labels` [N], of this program's `features` or of another's");
}

LoadedModel open_classifier(const MeasureFlags& flags, const Device& device) {
  const PredictorOptions options = predictor_options(flags.common, device);
  const ClassTextFlags& texts = flags.texts;
  if (texts.classes.empty()) {
    if (!texts.templates.empty() || !flags.tokenizer.empty())
      throw UsageError("--templates and --tokenizer go with --classes");
    return open_checkpoint({flags.checkpoint, flags.pixels, flags.labels}, options);
  }
  if (!flags.labels.empty()) throw UsageError("--classes names the classes; leave --labels out");
  LoadedModel model = open_checkpoint({flags.checkpoint, flags.pixels, ""}, options);
  const TextTower tower(flags.checkpoint, options, Texts::kAsWritten, flags.tokenizer);
  classify_by_names(model, tower, read_class_texts(texts.classes), templates_of(texts, tower),
                    texts.templates.empty() ? flags.checkpoint : texts.templates);
  return model;
}

std::shared_ptr<const DataSource> open_pictures(const std::string& word,
                                                const SourceOptions& options) {
  std::error_code error;
  if (std::filesystem::is_directory(word, error)) {
    std::shared_ptr<const DataSource> source = open_image_files({word}, "");
    log_info(concat(word, ": ", source->size(), " pictures"));
    return source;
  }
  if (std::filesystem::is_regular_file(word, error) && has_image_ending(word))
    throw UsageError(word, " is one picture; want a folder of them, or SRC");
  const ChosenSplit split = choose_split("", {.data = word, .split = "", .source = options});
  log_info(split.as_text());
  return split.source;
}

EvalOptions eval_options(const LoaderFlags& loader, bool is_quiet, const std::string& what,
                         int64_t count) {
  return {.batch_size = loader.batch,
          .num_workers = loader.workers,
          .max_bad_fraction = loader.max_bad_fraction,
          .max_pixels = loader.max_pixels,
          .watch = watch_with_progress(what, count, is_quiet)};
}

EvalOptions eval_options(const MeasureFlags& flags, const std::string& what, int64_t count) {
  return eval_options(flags.loader, flags.common.is_quiet, what, count);
}

MeasuredModel::MeasuredModel(const MeasureFlags& flags, const Device& device)
    : flags_(flags), model_(open_classifier(flags, device)), transforms_(model_.info.pp_eval) {}

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
    throw UsageError(word, " is what is tested, the same samples; give others",
                     flags_.fit.empty() ? "" : ", or --fit-part 20%");
  if (data.classes != classes_)
    throw UsageError("--restrict: ", word, " has other classes than the tested samples");
  settings_.emplace_back("fitted_to", data.split.as_text());
}

const EvalData& MeasuredModel::tested() {
  if (!tested_) tested_ = open("");
  return *tested_;
}

PredictedSet MeasuredModel::labelled(const std::string& word, bool wants_pooled) {
  const EvalData data = word.empty() ? tested() : open(word);
  EvalOptions options = eval_options(flags_, "predict", data.split.source->size());
  options.classes = classes_;
  return kept(predict_all(*model_.predictor, *data.split.source, transforms_, options,
                          {.class_names = data.answer_names(), .wants_pooled = wants_pooled}));
}

Robustness MeasuredModel::robustness(RobustnessRequest request,
                                     const RobustnessReference* reference) {
  const EvalData& data = tested();
  if (reference != nullptr)
    reference->check(request.severities, provenance_.fingerprint, request.seed);
  EvalOptions options = eval_options(flags_, "eval", data.split.source->size());
  options.classes = data.classes;
  const auto config = run_config(flags_.checkpoint);
  request.evaluator = {config ? config->loss : "softmax", data.answer_names()};
  return measure_robustness(*model_.predictor, data.split.source, transforms_, options, request);
}

KnownClasses MeasuredModel::known_classes() const {
  return {model_.info.config.num_classes, model_.info.label_names, model_.wnids, "the model",
          "; --set-map NAME=FILE says which class is which"};
}

Variant MeasuredModel::variant(const VariantRequest& request, const PredictedSet& tested) {
  const ChosenSplit split =
      choose_split("", {.data = request.source, .split = "", .source = flags_.data.split.source});
  log_info(concat(request.name, ": ", split.as_text()));
  if (flags_.data.checks_overlap) check_overlap_with_training(flags_.checkpoint, *split.source);
  const RightAnswers right =
      right_by_class(*split.source, split.text, known_classes(),
                     request.map.empty() ? flags_.data.class_map : request.map);
  const std::vector<int64_t> samples = right.samples();
  if (samples.empty()) throw DataError(split.text, " has no picture of the model's classes");
  ModelInfo info = model_.info;
  if (request.crop == "paper") apply_pixel_changes({.crop_pct = kPaperCrop}, info);
  const std::unique_ptr<DataSource> source = make_subset(split.source, samples);
  RightAnswers of_subset{right.sets, {}, right.by};
  for (const int64_t sample : samples)
    of_subset.set_of.push_back(right.set_of[static_cast<size_t>(sample)]);
  const PredictedSet own =
      kept(predict_all(*model_.predictor, *source, Transforms(info.pp_eval),
                       eval_options(flags_, "predict", source->size()), {.has_labels = false}));
  Variant variant{.name = request.name, .place = split.text, .by = right.by, .crop = request.crop};
  variant.num_left_out = split.source->size() - std::ssize(samples);
  variant.num_classes = std::ssize(of_subset.classes());
  if (variant.num_classes == 1)
    log_warn(concat(request.name, " is of one class: every answer among its own is right"));
  return score(std::move(variant), own, of_subset, tested);
}

Variant MeasuredModel::with_answers(const std::string& file, const PredictedSet& tested) {
  const DataSource& source = *this->tested().split.source;
  const RightAnswers right = right_by_picture(source, file, model_.info.config.num_classes);
  Variant variant{.name = "real", .place = provenance_.source, .by = right.by, .crop = "model"};
  if (right.samples().empty()) throw DataError(file, " has no answer to any tested picture");
  variant.num_left_out = source.size() - std::ssize(right.samples());
  variant.num_classes = model_.info.config.num_classes;
  return score(std::move(variant), tested, right, tested);
}

Variant MeasuredModel::score(Variant variant, const PredictedSet& own, const RightAnswers& right,
                             const PredictedSet& tested) {
  std::vector<int64_t> classes;
  if (variant.num_classes < model_.info.config.num_classes) classes = right.classes();
  RightAnswers plain{.by = "label"};
  for (int64_t one = 0; one < model_.info.config.num_classes; ++one) plain.sets.push_back({one});
  const DataSource& source = *tested_->split.source;
  for (int64_t i = 0; i < source.size(); ++i) plain.set_of.push_back(source.label(i));
  variant.own = right_share(own.predictions, right, classes);
  variant.known = right_share(tested.predictions, plain, classes);
  return variant;
}

PredictedSet MeasuredModel::unlabelled(const std::string& word, bool wants_pooled) {
  const std::shared_ptr<const DataSource> source = open_pictures(word, flags_.data.split.source);
  if (flags_.data.checks_overlap) check_overlap_with_training(flags_.checkpoint, *source);
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
