#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "transfer/feature_cache.h"
#include "transfer/labelled_features.h"

namespace vit22b {

/// The flags of the commands that fit a head to frozen features.
struct HeadFlags {
  CommonFlags common;
  std::string checkpoint, train, test;
  std::string train_split = "train", test_split = "test";
  std::string feature = "pooled";
  std::string pp = "decode|rgb|resize(32)|value_range(-1,1)";
  std::string cache;
  LoaderFlags loader{.batch = 64};
  std::string predictions, against;
};

/// Adds them, and the common ones.
void add_head_flags(CLI::App& command, HeadFlags& flags);
/// For commands that use one set alone: --data and --split, which are `test` and `test_split`.
void add_data_flags(CLI::App& command, HeadFlags& flags);

/// The cached features of `source` by the flags' checkpoint.
FeatureTable open_table(const HeadFlags& flags, const Device& device, const DataSource& source);

/// A training and a test set of one kind.
struct HeadData {
  LabelledFeatures train, test;
  int64_t num_classes = 0;
};

/// Reads both sets from files of features, or makes them with a checkpoint (or "pixels").
///
/// throws  UsageError for words that do not go together, and as read_features, cached_features and
///         count_classes do
HeadData open_head_data(const HeadFlags& flags, const Device& device);

/// The cached features of both splits by name, for heads on several inputs.
struct HeadTables {
  FeatureTable train, test;
};
HeadTables open_head_tables(const HeadFlags& flags, const Device& device,
                            const std::vector<std::string>& names);
/// Whether the sets are files of features.
bool is_from_files(const HeadFlags& flags);
/// The same of a command with one set: whether --data is a file of images' and texts' features.
///
/// throws  UsageError for a checkpoint beside one, or none beside a source
bool is_from_pairs(const HeadFlags& flags);

/// What a head said of the test samples.
struct HeadResult {
  std::string method;
  at::Tensor labels_M;
  std::vector<std::string> label_names;  ///< empty where the labels have no names
  int64_t num_classes = 0, num_train = 0;
  std::string place;  ///< of the test samples, for messages
  /// [S, M] int64, one row a draw; by number of shots or neighbours, or one entry under 0.
  std::map<int64_t, at::Tensor> predicted;
};

/// The shares of ranks (metrics::answer_ranks) below 1, 5 and 10, for `recall_at`.
nlohmann::ordered_json recalls(const at::Tensor& ranks_Q);

/// A method's result on a test set, still without predictions.
HeadResult result_on(const std::string& method, const HeadData& data);

/// Prints a result as text or JSON, writes --out and --predictions, and compares with --against.
///
/// chosen  what the method settled on, for `chosen`
void report_head(const HeadFlags& flags, const HeadResult& result,
                 const nlohmann::ordered_json& chosen);

}  // namespace vit22b
