#include "cli/split_choice.h"

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "data/splits.h"
#include "train/data_setup.h"
#include "train/run_folder.h"
#include "train/run_sources.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVal = "val";
constexpr const char* kHeldOut = "held-out";

bool is_same_place(const SourceName& a, const SourceName& b) {
  std::error_code error;
  return a.kind == b.kind && (a.root == b.root || fs::equivalent(a.root, b.root, error));
}

/// The own data of the run in a folder, as its config has it.
class OwnData {
 public:
  OwnData(fs::path run, const DataConfig& data, const SourceOptions& options)
      : run_(std::move(run)), data_(data) {
    if (options.split_folders != SourceOptions().split_folders)
      data_.split_folders = options.split_folders;
    options_ = source_options(data_);
    options_.allow_empty = true;
    splits_ = splits_of(source_text(data_), options_);
    if (percent(data_.val)) {
      held_out_ = contains(kVal) ? kHeldOut : kVal;
      splits_.push_back(held_out_);
    }
  }

  ChosenSplit open(const std::string& named) const {
    ChosenSplit chosen{.text = source_text(data_), .split = split_to_open(named), .is_own = true};
    check_split(chosen.text, chosen.split, splits_);
    chosen.is_training = chosen.split == data_.train_split;
    if (chosen.split == held_out_) {
      const TrainData data = open_train_data(data_);
      check_held_out(run_, data_, data);
      chosen.source = data.val;
      chosen.note =
          concat(" (the ", data_.val, " of '", data_.train_split, "' held out of training)");
    } else if (chosen.is_training) {
      chosen.source = open_train_data(data_).train;
      chosen.note = " (the run's own training samples)";
    } else {
      chosen.source = open_source(chosen.text, chosen.split, options_);
    }
    return chosen;
  }

 private:
  bool contains(const std::string& split) const {
    return std::find(splits_.begin(), splits_.end(), split) != splits_.end();
  }
  std::string split_to_open(const std::string& named) const {
    if (!named.empty()) return named;
    const std::string found = test_split_among(splits_);
    return found.empty() ? "test" : found;
  }

  fs::path run_;
  DataConfig data_;
  SourceOptions options_;
  std::vector<std::string> splits_;
  std::string held_out_;  ///< "" where no part is held out
};

}  // namespace

std::string ChosenSplit::as_text() const {
  return concat("split '", split, "' of ", text, note, ": ", source->size(), " samples");
}

void add_source_flags(CLI::App& command, SourceOptions& options) {
  command
      .add_option(
          "--split-folders", options.split_folders,
          "whether the folders of folder:ROOT are splits or classes: yes, no, or auto: they "
          "are splits when they are called so")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "yes", "no"}));
}

void add_split_flags(CLI::App& command, SplitFlags& flags) {
  command.add_option(
      "--split", flags.split,
      "split of the data; \"test\" where there is one, else \"val\", else the only one");
  add_source_flags(command, flags.source);
}

std::optional<TrainConfig> run_config(const fs::path& folder) {
  if (!fs::exists(folder / kResolvedConfig)) return std::nullopt;
  return read_run_config(folder);
}

std::string chosen_split(const std::string& source, const std::string& named,
                         const SourceOptions& options) {
  if (!named.empty()) return named;  // open_source checks it
  const std::vector<std::string> splits = splits_of(source, options);
  if (splits.size() == 1) return splits.front();
  const std::string found = test_split_among(splits);
  if (found.empty()) check_split(source, "test", splits);
  return found;
}

ChosenSplit choose_split(const std::string& checkpoint, const SplitFlags& flags) {
  const auto run = run_config(checkpoint);
  if (!run && flags.data.empty())
    throw UsageError(checkpoint, " is no run folder, so its data is unknown; give --data SRC");
  if (run && (flags.data.empty() ||
              is_same_place(parse_source(flags.data), {run->data.source, run->data.root})))
    return OwnData(checkpoint, run->data, flags.source).open(flags.split);
  ChosenSplit chosen{.text = flags.data,
                     .split = chosen_split(flags.data, flags.split, flags.source)};
  chosen.source = open_source(flags.data, chosen.split, flags.source);
  return chosen;
}

}  // namespace vit22b
