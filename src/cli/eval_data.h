#pragma once
#include <string>
#include <vector>

#include "cli/split_choice.h"
#include "eval/label_map.h"
#include "eval/load_predictor.h"
#include "eval/result.h"

namespace vit22b {

/// Which labelled samples a classifier is tested on.
struct EvalDataFlags {
  SplitFlags split;
  std::string class_map;
  bool is_restricted = false, checks_overlap = false;
};

/// Adds --data, --split, --split-folders, --class-map, --restrict and --check-overlap.
void add_eval_data_flags(CLI::App& command, EvalDataFlags& flags);

/// Refuses a command that is of neither a checkpoint nor a file of logits, or of both, and beside a
/// file what means something for a model alone.
///
/// throws  UsageError
void check_of_model_or_logits(const CLI::App& command, const std::string& checkpoint,
                              const std::string& logits);

/// Labelled samples in a model's classes.
struct EvalData {
  ChosenSplit split;             ///< its labels are the model's classes
  std::string labels_by;         ///< what they were matched by
  std::vector<int64_t> classes;  ///< the classes that answers are taken from; empty for all
  int64_t num_data_classes = 0;

  /// Says on stderr what is tested and how its labels are meant.
  void tell() const;
  /// The names of the classes that answers are taken from.
  std::vector<std::string> answer_names() const;
  /// What a result says of them.
  std::vector<std::pair<std::string, Cell>> settings() const;
};

/// Opens what choose_split chooses, and matches its labels with the model's classes.
///
/// throws  as choose_split and label_map; DataError, where it is asked for, for test pictures that
///         are the run's training pictures too
EvalData open_eval_data(const std::string& checkpoint, const LoadedModel& model,
                        const EvalDataFlags& flags);

/// Refuses pictures that are the run's training pictures too, by content.
///
/// throws  UsageError for a checkpoint that is no run, DataError as check_overlap
void check_overlap_with_training(const std::string& checkpoint, const DataSource& source);

/// Says that answers are taken from so many classes of the data alone, as --restrict asks.
void tell_restriction(int64_t num_classes);

}  // namespace vit22b
