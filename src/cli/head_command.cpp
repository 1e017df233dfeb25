#include "cli/head_command.h"

#include <CLI/CLI.hpp>

#include "cli/checkpoint_flags.h"
#include "core/error.h"
#include "core/log.h"
#include "core/watch.h"

namespace vit22b {
namespace {

constexpr const char* kPixels = "pixels";
constexpr const char* kPixelTransform = "decode|rgb|resize(32)|value_range(-1,1)";
constexpr const char* kFileEnding = ".safetensors";

std::string pixel_transform(const PixelChanges& changes) {
  if (changes.size || changes.crop_pct || !changes.interpolation.empty())
    throw UsageError(
        "\"pixels\" have no transform of a checkpoint that --img-size, --crop-pct or "
        "--interpolation could change; give the whole with --pp");
  return changes.pp.empty() ? kPixelTransform : changes.pp;
}

/// Options that mean nothing where features are read from files.
void refuse_options_of_images(const HeadFlags& flags) {
  std::vector<std::string> names = pixel_flag_names();
  names.insert(names.end(),
               {"--train-split", "--test-split", "--split", "--split-folders", "--feature",
                "--cache", "--class-map", "--batch", "--workers", "--max-bad-fraction"});
  refuse_options(*flags.command, names, "files of features are taken as they are");
}

/// What decides how features are made and results are told.
void add_shared_flags(CLI::App& command, HeadFlags& flags) {
  flags.command = &command;
  add_pixel_flags(command, flags.pixels,
                  concat("transform of the pictures instead of the checkpoint's; of \"pixels\" ",
                         kPixelTransform, " unless given"));
  command.add_option(
      "--cache", flags.cache,
      "folder of cached features; by default CKPT/cache, for pixels ./cache/pixels, or, "
      "where that cannot be written, ~/.cache/vit22b");
  add_loader_flags(command, flags.loader);
  command.add_option("--predictions", flags.predictions,
                     "safetensors file to write the predicted classes to");
  command.add_option("--against", flags.against,
                     "an earlier --predictions file: adds the paired `difference` to it");
  add_common_flags(command, flags.common, kDevice | kPrecision | kStore | kSeed | kOut | kJson,
                   "also write the JSON result here");
}

}  // namespace

void add_head_flags(CLI::App& command, HeadFlags& flags) {
  command.add_option("checkpoint", flags.checkpoint,
                     "checkpoint or run folder whose features are used, or \"pixels\"; none where "
                     "--train and --test are files of features");
  command
      .add_option("--train", flags.train,
                  concat(source_help(),
                         ", or a safetensors file with `features` [N,D] (else `pooled`) "
                         "and `labels` [N]"))
      ->required();
  command.add_option("--test", flags.test, "the same for the test; --train's source by default");
  command.add_option("--train-split", flags.train_split, "split of --train")->capture_default_str();
  command.add_option(
      "--test-split", flags.test_split,
      "split of --test; \"test\" where there is one, else \"val\", else the only one of "
      "another source");
  command.add_option(
      "--test-part", flags.test_part,
      "test on such a part of --train, 20% for one, drawn class by class with --seed; "
      "train on the rest");
  command
      .add_option("--folds", flags.folds,
                  "test on each of so many parts of --train in turn, drawn class by class with "
                  "--seed; train on the others")
      ->check(CLI::Range(2, 1000));
  command.add_flag("--check-overlap", flags.checks_overlap,
                   "refuse a test that has training pictures in it, by content");
  add_source_flags(command, flags.source);
  command
      .add_option("--feature", flags.feature, "pooled, mean, logits, image_embedding or block.N")
      ->capture_default_str();
  add_labels_flag(command, flags.labels, kLabelsOfData);
  add_class_map_flag(command, flags.class_map, "the training set's classes the test's names are");
  add_class_groups_flag(command, flags.class_groups);
  add_shared_flags(command, flags);
}

void add_data_flags(CLI::App& command, HeadFlags& flags) {
  command.add_option("checkpoint", flags.checkpoint,
                     "two-tower checkpoint: CLIP's, SigLIP's, open_clip's, or a run of vit22b lit; "
                     "none where --data is a file of features");
  command
      .add_option(
          "--data", flags.test,
          concat(source_help(),
                 ", or a safetensors file with "
                 "`features` [N,D], `labels` [N], `texts` [M,D], `text_labels` [M]: what has "
                 "equal labels belongs together"))
      ->required();
  command.add_option(
      "--split", flags.test_split,
      "split of --data; \"test\" where there is one, else \"val\", else the only one");
  add_source_flags(command, flags.source);
  add_tokenizer_flag(command, flags.tokenizer);
  add_shared_flags(command, flags);
}

void add_class_groups_flag(CLI::App& command, std::string& groups) {
  command.add_option("--class-groups", groups,
                     "accuracy by groups of classes too: `prefix` (a class's name up to its first "
                     "/), or a CSV with the columns class and group");
}

void add_tokenizer_flag(CLI::App& command, std::string& tokenizer) {
  command.add_option("--tokenizer", tokenizer,
                     "the texts' tokenizer where the checkpoint's folder holds none: "
                     "tokenizer.json, a SentencePiece .model, or CLIP's merges as .txt or .txt.gz");
}

std::vector<std::string> class_names_of(const HeadFlags& flags, std::vector<std::string> own,
                                        int64_t num_classes) {
  return flags.labels.empty() ? std::move(own) : read_labels(flags.labels, num_classes);
}

bool is_from_files(const HeadFlags& flags) {
  const bool is_train_file = flags.train.ends_with(kFileEnding),
             is_test_file = flags.test.ends_with(kFileEnding);
  if (is_train_file != is_test_file && !flags.test.empty())
    throw UsageError("--train and --test: give two files of features, or two data sources");
  if (is_train_file && flags.test.empty() && flags.test_part.empty() && flags.folds == 0)
    throw UsageError("give --test F.safetensors too, or make a test with --test-part or --folds");
  if (is_train_file && !flags.checkpoint.empty())
    throw UsageError("'", flags.checkpoint, "': files of features need no checkpoint");
  if (!is_train_file && flags.checkpoint.empty())
    throw UsageError("give a checkpoint whose features of ", flags.train,
                     " are used, or files of features");
  if (is_train_file) refuse_options_of_images(flags);
  return is_train_file;
}

bool is_from_pairs(const HeadFlags& flags) {
  const bool is_file = flags.test.ends_with(kFileEnding);
  if (is_file && !flags.checkpoint.empty())
    throw UsageError("'", flags.checkpoint, "': a file of features needs no checkpoint");
  if (!is_file && flags.checkpoint.empty())
    throw UsageError("give a two-tower checkpoint for ", flags.test, ", or a file of features");
  if (is_file) refuse_options_of_images(flags);
  return is_file;
}

std::unique_ptr<FeatureExtractor> make_extractor(const HeadFlags& flags, const Device& device,
                                                 const std::vector<std::string>& names) {
  if (flags.checkpoint == kPixels) {
    if (names != std::vector<std::string>{"pooled"})
      throw UsageError("pixels have no other features; leave --feature away");
    return make_pixel_extractor(pixel_transform(flags.pixels));
  }
  return make_model_extractor(flags.checkpoint, predictor_options(flags.common, device), names,
                              flags.pixels);
}

FeatureTable make_features(const HeadFlags& flags, FeatureExtractor& extractor,
                           const DataSource& source) {
  FileOps ops;
  CacheOptions options = flags.checkpoint == kPixels && flags.cache.empty()
                             ? cache_places_at("cache/pixels")
                             : cache_places(flags.checkpoint, flags.cache);
  options.shards = {.batch_size = flags.loader.batch,
                    .num_workers = flags.loader.workers,
                    .max_bad_fraction = flags.loader.max_bad_fraction,
                    .max_pixels = flags.loader.max_pixels,
                    .watch = watch_with_progress("features", source.size(), flags.common.is_quiet)};
  FeatureTable table = cached_features(extractor, source, options, ops);
  log_info(concat(table.size(), " features in ", table.folder().string()));
  return table;
}

FeatureTable open_table(const HeadFlags& flags, const std::string& feature, const Device& device,
                        const DataSource& source) {
  const auto extractor = make_extractor(flags, device, {feature});
  return make_features(flags, *extractor, source);
}

ChosenSplit open_data(const HeadFlags& flags) {
  ChosenSplit chosen = choose_split(flags.checkpoint, {flags.test, flags.test_split, flags.source});
  log_info(chosen.as_text());
  if (chosen.is_training) log_warn("the model was trained on these samples");
  return chosen;
}

}  // namespace vit22b
