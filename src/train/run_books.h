#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/loader.h"
#include "train/run_folder.h"
#include "train/run_sources.h"
#include "train/trainer.h"

namespace vit22b {

/// A run's folder as all its ranks see it: one of them alone reads and writes there, and what it
/// finds all learn. Every rank calls every function, in the same order.
class RunBooks {
 public:
  /// options, ops, mesh  outlive it
  RunBooks(const TrainOptions& options, FileOps& ops, const Mesh& mesh)
      : options_(options), ops_(ops), mesh_(mesh) {}

  /// The checkpoint to go on from as it looks before the folder is held.
  std::filesystem::path start_in_view() const;
  /// Makes or opens the folder, and finds what to go on from.
  void open();
  /// The checkpoint that this start goes on from; "" for a first one.
  const std::filesystem::path& start() const { return start_; }
  /// Whether that is of this run's folder.
  bool is_start_own() const { return is_start_own_; }

  /// Notes what the images are, before a task changes them.
  void note_data(const TrainData& data);
  /// Compares with the run that is gone on from, before any work.
  ///
  /// throws  UsageError where the config is another
  void check_resume(const TrainConfig& config);
  /// Brings the folder in step with the state that the run goes on from, writes the config, and
  /// fills in the state's best save, data and sources.
  ///
  /// primary  what the best is the best by
  void take_up(const TrainConfig& config, const Metric& primary, TrainerState& state);

  void append_metrics(const std::function<std::string()>& line);
  int64_t metrics_bytes() const;
  /// Adds to bad_samples.txt, which has those of all ranks and starts.
  void note_bad_samples(const std::vector<BadSample>& bad);
  /// The newest checkpoint, known on one rank.
  std::filesystem::path latest() const;

 private:
  const TrainOptions& options_;
  FileOps& ops_;
  const Mesh& mesh_;
  std::filesystem::path start_;
  bool is_start_own_ = false;
  std::unique_ptr<RunFolder> folder_;               ///< on the one rank that keeps the books
  std::map<std::string, DataRecord> data_now_;      ///< there too
  std::map<std::string, std::string> sources_now_;  ///< there too
  std::set<std::string> bad_lines_;
};

}  // namespace vit22b
