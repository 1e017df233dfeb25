#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/checkpoint_flags.h"
#include "cli/split_choice.h"
#include "eval/feature_cache.h"
#include "eval/labelled_features.h"

namespace vit22b {

/// The flags of the commands that fit a head to frozen features.
struct HeadFlags {
  const CLI::App* command = nullptr;  ///< which options were given
  CommonFlags common;
  std::string checkpoint, train, test;
  std::string train_split = "train", test_split;  ///< test_split: "" for the usual one
  std::string test_part;                          ///< "20%": the test is drawn from --train
  int64_t folds = 0;                              ///< the same, in turn; 0 for no folds
  bool checks_overlap = false;
  SourceOptions source;
  std::string feature = "pooled";
  std::string tokenizer;  ///< of the checkpoint's texts, where its folder holds none
  PixelChanges pixels;
  std::string labels;
  std::string class_map;     ///< of the test's classes
  std::string class_groups;  ///< as class_groups has them
  std::string cache;
  LoaderFlags loader{.batch = 64};
  std::string predictions, against;
};

/// Adds them, and the common ones.
void add_head_flags(CLI::App& command, HeadFlags& flags);
/// For commands that use one set alone: --data and --split, which are `test` and `test_split`.
void add_data_flags(CLI::App& command, HeadFlags& flags);

/// The names of the data's classes: its own, or those of --labels where it is given.
///
/// throws  DataError as read_labels does
std::vector<std::string> class_names_of(const HeadFlags& flags, std::vector<std::string> own,
                                        int64_t num_classes);

/// The cached features of `source` by the flags' checkpoint, of one name.
FeatureTable open_table(const HeadFlags& flags, const std::string& feature, const Device& device,
                        const DataSource& source);

/// What makes features as the flags say.
std::unique_ptr<FeatureExtractor> make_extractor(const HeadFlags& flags, const Device& device,
                                                 const std::vector<std::string>& names);
/// A source's features, from the cache or made now.
FeatureTable make_features(const HeadFlags& flags, FeatureExtractor& extractor,
                           const DataSource& source);

/// --class-groups.
void add_class_groups_flag(CLI::App& command, std::string& groups);
/// --tokenizer FILE.
void add_tokenizer_flag(CLI::App& command, std::string& tokenizer);

/// Whether the sets are files of features.
bool is_from_files(const HeadFlags& flags);
/// The same of a command with one set: whether --data is a file of images' and texts' features.
///
/// throws  UsageError for a checkpoint beside one, or none beside a source
bool is_from_pairs(const HeadFlags& flags);

/// The split of --data that the flags name, opened and said.
ChosenSplit open_data(const HeadFlags& flags);

}  // namespace vit22b
