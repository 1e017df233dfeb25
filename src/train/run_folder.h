#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/run_checkpoint.h"
#include "core/config.h"
#include "core/file.h"
#include "metrics/metric.h"
#include "train/config.h"
#include "train/event_log.h"

namespace vit22b {

/// The file of a run's whole config.
constexpr const char* kResolvedConfig = "config.resolved.toml";

/// The checkpoint that a start in a folder goes on from, before the folder is held; "" for a first
/// start.
///
/// resume  what a user names; "" for the folder's own latest
std::filesystem::path start_of_run(const std::filesystem::path& folder, const std::string& resume);

/// The best validation of a run, and the step whose checkpoint has it; -1 for none.
struct BestSave {
  int64_t step = -1;
  double metric = -1;

  bool is_beaten_by(double value, const Metric& primary) const {
    return step < 0 ? !std::isnan(value) : primary.is_better(value, metric);
  }
};

/// A run's folder, held by one process: config.resolved.toml, meta.json, log.txt, metrics.jsonl,
/// tb/, ckpt/, results/.
class RunFolder {
 public:
  /// Makes or opens the folder, locks it, cleans what an interrupted save left, and opens the log.
  ///
  /// throws  UsageError when another process holds it, it is a link that leads nowhere, or it
  /// cannot
  ///         be written
  RunFolder(FileOps& ops, std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  CheckpointFolder& checkpoints() { return checkpoints_; }
  /// True when an earlier start left a config here.
  bool has_config() const;
  /// True when an earlier start has made steps: a checkpoint or rows of metrics.
  bool has_steps() const;

  /// Refuses a config that differs from the earlier run's in more than durations, logging, and how
  /// and where it computes.
  ///
  /// moved   options whose things are the earlier run's whatever their places
  /// throws  UsageError with the differing keys
  void check_same_config(const TrainConfig& config, const std::vector<std::string>& moved) const;
  /// Moves an earlier run into previous-N/, so that --no-resume loses nothing.
  void set_aside();
  /// Makes the folder agree with the checkpoint that the run goes on from: lines of metrics that
  /// will be written again are cut; what is later, where it goes back, is moved into previous-N/;
  /// `best` leads to the best checkpoint that is here, which is returned.
  ///
  /// is_own   the checkpoint is of this folder
  /// primary  what the best is the best by
  BestSave go_on_from(const TrainerState& state, bool is_own, bool is_going_back,
                      const Metric& primary);
  /// Writes config.resolved.toml and meta.json.
  void begin(const TrainConfig& config, const std::string& command_line);

  /// Appends a line to metrics.jsonl, and its event to tb/.
  void append_metrics(const std::string& json_line);
  int64_t metrics_bytes() const;
  /// Drops the lines that a resumed run will write again; to be called before the first append.
  void cut_metrics(int64_t bytes);
  /// The lines of bad_samples.txt.
  std::vector<std::string> bad_samples() const;
  /// Rewrites bad_samples.txt.
  void write_bad_samples(const std::vector<std::string>& lines);

 private:
  std::filesystem::path next_aside() const;
  BestSave best_of_rows(const Metric& primary) const;

  FileOps& ops_;
  std::filesystem::path path_;
  std::unique_ptr<FolderLock> lock_;
  CheckpointFolder checkpoints_;
  EventLog events_;
};

}  // namespace vit22b
