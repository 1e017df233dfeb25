#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "data/source.h"
#include "train/config.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// Which samples a command reads.
struct SplitFlags {
  std::string data, split;  ///< split: "" for the one that tests are made on
  SourceOptions source;
};

/// Adds --split and --split-folders.
void add_split_flags(CLI::App& command, SplitFlags& flags);
/// Adds --split-folders.
void add_source_flags(CLI::App& command, SourceOptions& options);

/// A split of a source, opened.
struct ChosenSplit {
  std::shared_ptr<const DataSource> source;
  std::string text;  ///< SRC
  std::string split;
  std::string note;          ///< what is to be said of it: "", or a remark in parentheses
  bool is_training = false;  ///< it is what the run was trained on
  bool is_own = false;       ///< the source is the run's own

  /// "split 'test' of idx:DIR: 10000 samples".
  std::string as_text() const;
};

/// The config of the run that a folder is, if it is one.
std::optional<TrainConfig> run_config(const std::filesystem::path& folder);

/// The split of a source that a user names, or where none is named "test", else "val", else the
/// only one.
///
/// throws  DataError for a split that is not there, or where none of several is meant
std::string chosen_split(const std::string& source, const std::string& named,
                         const SourceOptions& options);

/// Opens what a command reads: a split of a source, or of the run's own data where the checkpoint
/// is a run folder and no other is named. Of a run that held a part of its training split out, that
/// part is the split "val" ("held-out" where the source has a "val" itself), and "train" is the
/// rest; its training samples are taken only where they are named.
///
/// throws  UsageError where no data is known; DataError as chosen_split
ChosenSplit choose_split(const std::string& checkpoint, const SplitFlags& flags);

}  // namespace vit22b
