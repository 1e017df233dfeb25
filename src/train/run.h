#pragma once
#include <memory>
#include <set>

#include "checkpoint/run_checkpoint.h"
#include "model/context.h"
#include "optim/schedule.h"
#include "train/data_setup.h"
#include "train/run_folder.h"
#include "train/state_setup.h"
#include "train/step.h"
#include "train/trainer.h"

namespace vit22b {

/// All durations in steps.
struct Cadence {
  int64_t total, log, eval, ckpt, keep;
  Schedule schedule;
};

/// Whether something is due at a step, as it is at the end; every 0 steps is never.
bool is_due(int64_t step, int64_t every, int64_t total);

/// One run, internal to train(): what set-up (run_setup.cpp), loop (trainer.cpp) and saving
/// (run_save.cpp) share.
class Run {
 public:
  Run(TrainConfig config, const TrainOptions& options, FileOps& ops);
  /// Sets up, trains, and saves: the whole of train().
  TrainSummary go();

 private:
  /// Opens data and folder, makes or loads all state; false when nothing is left to do.
  bool start();
  void open_data();
  void open_folder();
  void complete_config(const std::filesystem::path& start);
  std::filesystem::path start_in_view() const;
  void check_resume();
  std::unique_ptr<StateMemory> make_memory() const;
  /// Every parameter of every tower that trains.
  std::vector<ParameterRow> table() const;
  TrainedTowers towers() const;
  double flops_of_sample() const;
  /// Whether a validation is the best so far, which it is then.
  bool take_best(const std::map<std::string, double>& metrics);
  void make_weights(const std::vector<ParameterRow>& table, const SavedRun* saved);
  void log_memory() const;
  void log_setting(const std::vector<ParameterRow>& table) const;
  void load(const SavedRun& saved);
  void take_up();
  void loop();
  void train_steps(BatchLoader& loader);
  /// What is due after a step: the save comes first, so that no validation can cost it.
  void keep_step(const BatchLoader& loader);
  Batch next_batch(BatchLoader& loader);
  void note_bad_samples(const std::vector<BadSample>& bad);
  void validate();
  void validate_and_record();
  void save();
  ModelContext context(const ViTConfig& config, BlockInputs* inputs) const;
  bool is_stop_asked() const;
  void append_metrics(const std::function<std::string()>& line);

  TrainConfig config_;
  const TrainOptions& options_;
  FileOps& ops_;
  const Mesh& mesh_;
  std::unique_ptr<RunFolder> folder_;  ///< on the one rank that keeps the books
  TrainData data_;
  Cadence cadence_{};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Task> task_;
  std::optional<ImageTower> image_tower_;  ///< the task's
  std::unique_ptr<StateMemory> memory_;    ///< outlives the store and the sink, which lie in it
  std::shared_ptr<MasterStore> store_;
  Sinks sinks_;
  std::unique_ptr<BlockInputs> main_inputs_, image_inputs_;
  std::unique_ptr<Transforms> pp_eval_;
  TrainerState state_;
  std::map<std::string, DataRecord> data_now_;      ///< on the rank that keeps the books
  std::map<std::string, std::string> sources_now_;  ///< there too
  std::filesystem::path from_;  ///< the checkpoint that this start goes on from; "" for a first one
  bool is_from_own_ = false;    ///< it is of this run's folder
  int64_t saved_step_ = -1;     ///< of the folder's newest save, where it is of this run's way
  std::set<std::string> bad_lines_;
  bool is_best_ = false;
  bool is_stopping_ = false;
};

}  // namespace vit22b
