#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/run_checkpoint.h"
#include "core/config.h"
#include "core/file.h"
#include "train/config.h"
#include "train/event_log.h"

namespace vit22b {

/// A run's folder, held by one process: config.resolved.toml, meta.json, log.txt, metrics.jsonl,
/// tb/, ckpt/, results/.
class RunFolder {
 public:
  /// Makes or opens the folder, locks it, cleans what an interrupted save left, and opens the log.
  ///
  /// throws  UsageError when another process holds it or it cannot be written
  RunFolder(FileOps& ops, std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  CheckpointFolder& checkpoints() { return checkpoints_; }
  /// True when an earlier run left a config here.
  bool has_config() const;

  /// Refuses a config that differs from the earlier run's in more than durations and logging.
  ///
  /// throws  UsageError with the differing keys
  void check_same_config(const TrainConfig& config) const;
  /// Moves an earlier run into previous-N/, so that --no-resume loses nothing.
  void set_aside();
  /// Writes config.resolved.toml and meta.json.
  void begin(const TrainConfig& config, const std::string& command_line);

  /// Appends a line to metrics.jsonl, and its event to tb/.
  void append_metrics(const std::string& json_line);
  int64_t metrics_bytes() const;
  /// Drops the lines that a resumed run will write again; to be called before the first append.
  void cut_metrics(int64_t bytes);
  /// Rewrites bad_samples.txt.
  void write_bad_samples(const std::vector<std::string>& lines);

 private:
  FileOps& ops_;
  std::filesystem::path path_;
  std::unique_ptr<FolderLock> lock_;
  CheckpointFolder checkpoints_;
  EventLog events_;
};

}  // namespace vit22b
