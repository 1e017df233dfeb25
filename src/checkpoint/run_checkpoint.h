#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/container/safetensors_file.h"
#include "checkpoint/model_writer.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/two_towers.h"
#include "checkpoint/weights.h"
#include "dist/tensor_cut.h"

namespace vit22b {

/// What a run's images were, wherever they lay.
struct DataRecord {
  std::string names;     ///< as SourceIdentity has it
  std::string contents;  ///< as SourceIdentity has it
  int64_t size = 0;
  std::vector<std::string> classes;
  bool operator==(const DataRecord&) const = default;
};

/// Everything that a training run needs to go on as if it had not stopped.
struct TrainerState {
  int64_t step = 0;
  uint64_t seed = 0;
  int64_t examples_seen = 0;
  double train_seconds = 0;
  double best_metric = -1;
  int64_t best_step = -1;
  bool is_eval_pending = false;  ///< this step's validation is due and not done
  int64_t metrics_bytes =
      0;  ///< length of metrics.jsonl at the save; lines beyond it are cut on resume
  std::map<std::string, std::string> layout;    ///< threads, ISA, binary: where resume is bitwise
  std::map<std::string, DataRecord> data = {};  ///< "train", "val"; empty in older checkpoints
  /// What else the run was made of, by the option that names it: hashes.
  std::map<std::string, std::string> sources = {};
};

/// A checkpoint in memory: weights by full name, optimizer state as "slot/parameter".
struct RunCheckpoint {
  ModelInfo info;
  NamedTensors weights;
  NamedTensors optimizer;
  TrainerState state;
};

/// The same as each rank of a mesh has it: its parts, of which all ranks write one checkpoint.
struct RunParts {
  ModelInfo info;
  NamedParts weights;
  NamedParts optimizer;
  TrainerState state;
  PartWritten written = {};                          ///< told of each part when it has been written
  std::optional<FrozenParts> frozen = std::nullopt;  ///< of a two-tower model
  bool is_for_peft = false;                          ///< as PartsToWrite has it
};

/// What to keep besides the newest.
struct KeepPolicy {
  int64_t keep_last = 2;
  int64_t keep_every_steps = 0;  ///< 0: none for ever
};

/// RUN/ckpt: writes step folders beside, synced and renamed; `latest` moves last; `best` and kept
/// steps are not pruned.
class CheckpointFolder {
 public:
  CheckpointFolder(FileOps& ops, std::filesystem::path root);

  /// Removes what an interrupted save left; returns the names removed.
  std::vector<std::string> clean_leftovers();
  /// Writes step-NNNNNNNN, points `latest` (and `best`) at it, prunes. The old `latest` stays
  /// loadable until the end.
  void save(const RunCheckpoint& checkpoint, bool is_best, const KeepPolicy& keep);
  /// The same from all ranks, to the same bytes; all return when it is done, or throw the error of
  /// the one that failed.
  void save(const RunParts& parts, const Mesh& mesh, bool is_best, const KeepPolicy& keep);
  /// Gives the save of a step another state, and `best` where it is the best: what a validation
  /// after the save has found. Its tensors stay as they are.
  void amend(const TrainerState& state, const Mesh& mesh, bool is_best, const KeepPolicy& keep);
  /// The newest whole checkpoint, or an empty path: `latest`, else the highest step folder.
  std::filesystem::path latest() const;
  /// The steps of all whole checkpoints, ascending.
  std::vector<int64_t> steps() const;
  /// Whether a folder is one of these checkpoints.
  bool holds(const std::filesystem::path& folder) const;
  /// Points `best` at a step that is here, or at none (-1).
  void set_best(int64_t step);
  /// Moves what is later than a step into another folder and points `latest` at the step, from
  /// which the run goes on another way.
  void set_aside_after(int64_t step, const std::filesystem::path& aside);

 private:
  void publish(const std::filesystem::path& beside, const std::string& name, bool is_best,
               const KeepPolicy& keep);
  void point(const std::string& link, const std::string& target);
  void prune(const KeepPolicy& keep);

  FileOps& ops_;
  std::filesystem::path root_;
};

/// A step folder opened for reading, a tensor at a time.
class SavedRun {
 public:
  /// Checks every byte against the manifest, each rank some of the tensors for all.
  ///
  /// base    where the weights are that the run's checkpoints stand beside, if not where they were
  /// throws  CheckpointError naming the damaged file and tensor
  SavedRun(const std::filesystem::path& folder, const Mesh& mesh, const std::string& base = "");

  const ModelInfo& info() const { return info_; }
  const TrainerState& state() const { return state_; }
  /// The whole parameter, float32.
  ///
  /// throws  CheckpointError when the run's model has it not, or in another shape
  at::Tensor weight(const ParameterRow& row) const;
  /// Overwrites a parameter's values, as TensorReader::read.
  void read(const ParameterRow& row, at::Tensor& target) const;
  void release(const ParameterRow& row) const { weights_.release(row); }
  /// Whether a parameter is of the weights that the run's checkpoints stand beside.
  bool is_of_base(const ParameterRow& row) const;
  /// A whole tensor of the optimizer's state; undefined when it is not there.
  at::Tensor optimizer(const std::string& name) const;
  std::vector<std::string> optimizer_names() const;

 private:
  ModelInfo info_;
  TrainerState state_;
  TensorReader weights_;
  std::optional<TensorReader> image_weights_;  ///< of a two-tower model
  std::optional<TensorReader> task_weights_;   ///< where the task has its own
  SafetensorsFile optimizer_;
};

/// What a training run has saved beside the weights; nothing for other checkpoints.
///
/// throws  CheckpointError when the folder's trainer.json is damaged
std::optional<TrainerState> saved_state(const std::filesystem::path& folder);

/// The step of it.
std::optional<int64_t> saved_step(const std::filesystem::path& folder);

/// Reads a step folder back whole.
///
/// throws  CheckpointError naming the damaged file and tensor
RunCheckpoint load_run_checkpoint(const std::filesystem::path& folder);

/// "step-00001000".
std::string step_folder_name(int64_t step);

}  // namespace vit22b
