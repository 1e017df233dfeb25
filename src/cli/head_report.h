#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/head_sets.h"

namespace vit22b {

/// What a head said of the test samples.
struct HeadResult {
  std::string method;
  at::Tensor labels_M;
  std::vector<std::string> label_names;  ///< empty where the labels have no names
  int64_t num_classes = 0, num_train = 0;
  std::string place;                  ///< of the test samples, for messages
  std::string split;                  ///< what the test is, as HeadSets has it
  std::vector<std::string> contents;  ///< of the test samples; empty where nobody knows
  /// [S, M] int64, one row a draw; by number of shots or neighbours, or one entry under 0.
  std::map<int64_t, at::Tensor> predicted;
};

/// A method's result on a test set, and what it settled on.
struct HeadOutcome {
  HeadResult result;
  nlohmann::ordered_json chosen;
};

/// The shares of ranks (metrics::answer_ranks) below 1, 5 and 10, for `recall_at`.
nlohmann::ordered_json recalls(const at::Tensor& ranks_Q);

/// A method's result on a test set, still without predictions.
HeadResult result_on(const std::string& method, const HeadSets& sets, const HeadData& data);

/// Prints a result as text or JSON, writes --out and --predictions, and compares with --against.
void report_head(const HeadFlags& flags, const HeadOutcome& outcome);

/// The same of the outcomes on all of a command's sets; of several folds the mean, its spread, and
/// each fold's own.
void report_heads(const HeadFlags& flags, const HeadSets& sets,
                  const std::vector<HeadOutcome>& outcomes);

}  // namespace vit22b
