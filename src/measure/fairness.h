#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/result.h"

namespace vit22b {

/// Binary decisions about members of groups.
struct FairnessTable {
  std::string place;  ///< for messages
  std::vector<bool> labels, predictions;
  std::vector<double> scores;  ///< chances of the positive class; empty where nobody knows
  std::vector<int64_t> groups;
  std::vector<std::string> group_names;
  std::string decisions_from;  ///< a column, or "score >= 0.5"

  int64_t size() const { return std::ssize(labels); }
};

/// What a table's columns are called; `prediction` or `score` may be missing, not both: a score of
/// at least 0.5 is then a positive prediction.
struct FairnessColumns {
  std::string label = "label", prediction = "prediction", score = "score", group = "group";
  /// Whether somebody has named them, so that they have to be there.
  bool is_prediction_named = false, is_score_named = false;
};

/// Reads separated values (commas, or tabs in a .tsv). Labels and predictions are 0 or 1, -1 or 1
/// (CelebA), true or false, yes or no.
///
/// throws  DataError naming the file and a column it lacks, or file and line of a value that is
/// none
///         of these, an empty group, or a score outside of 0 to 1
FairnessTable read_fairness_table(const std::filesystem::path& file,
                                  const FairnessColumns& columns);

/// How to look for fair decisions.
struct FairnessOptions {
  double gamma = 0.05;    ///< of randomised thresholds
  double fit_part = 0.5;  ///< of each group, on which they are fitted
  uint64_t seed = 0;      ///< of the draw
};

/// Accuracy, positive, true and false positive rate of every group with intervals, the gaps between
/// them, and where there are scores what randomised thresholds make of them: for each parity level
/// that is allowed, fitted on a part of the samples, the gap, accuracy and its spread over the
/// groups on the others.
///
/// fit     samples of the same groups that thresholds are fitted to; null for a part of the table's
/// throws  DataError for fewer than two groups, or a group too small to be cut in two
Result measure_fairness(const FairnessTable& table, const FairnessOptions& options,
                        const FairnessTable* fit = nullptr);

}  // namespace vit22b
