#pragma once
#include <map>
#include <memory>
#include <string>

#include "optim/schedule.h"
#include "train/run_books.h"
#include "train/trained_model.h"
#include "train/trainer.h"

namespace vit22b {

/// All durations in steps.
struct Cadence {
  int64_t total, log, eval, ckpt, keep;
  Schedule schedule;
};

/// Whether something is due at a step, as it is at the end; every 0 steps is never.
bool is_due(int64_t step, int64_t every, int64_t total);

/// One run, internal to train(): what set-up, loop and saving share. Its folder is the books', its
/// weights are the model's, and what is learnt the task's.
class Run {
 public:
  Run(TrainConfig config, const TrainOptions& options, FileOps& ops);
  /// Sets up, trains, and saves: the whole of train().
  TrainSummary go();

 private:
  // Set-up (run_setup.cpp).
  /// Opens data and folder, makes or loads all state; false when nothing is left to do.
  bool start();
  void open_data();
  void complete_config(const std::filesystem::path& start);
  std::unique_ptr<StateMemory> make_memory() const;
  /// saved  what the run goes on from; null for a first start
  void make_model(const std::shared_ptr<const SavedRun>& saved);
  void load(const SavedRun& saved);
  void log_setting() const;

  // The loop (trainer.cpp).
  void loop();
  void train_steps(BatchLoader& loader);
  Batch next_batch(BatchLoader& loader);
  bool is_stop_asked() const;

  // Validation and saving (run_save.cpp).
  /// What is due after a step: the save comes first, so that no validation can cost it.
  void keep_step(const BatchLoader& loader);
  void validate();
  void validate_and_record();
  /// Whether a validation is the best so far, which it is then.
  bool take_best(const std::map<std::string, double>& metrics);
  void save();

  TrainConfig config_;
  const TrainOptions& options_;
  FileOps& ops_;
  const Mesh& mesh_;
  RunBooks books_;
  TrainData data_;
  Cadence cadence_{};
  std::unique_ptr<Task> task_;
  std::unique_ptr<TrainedModel> model_;
  std::optional<BaseWeights> base_;  ///< that the run's checkpoints stand beside
  bool is_for_peft_ = false;         ///< whether PEFT reads them there as this model
  std::unique_ptr<Transforms> pp_eval_;
  TrainerState state_;
  int64_t saved_step_ = -1;  ///< of the folder's newest save, where it is of this run's way
  bool is_best_ = false;
  bool is_stopping_ = false;
};

}  // namespace vit22b
