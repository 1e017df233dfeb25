#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include "core/file.h"
#include "optim/schedule.h"
#include "train/config.h"
#include "train/trained_model.h"

namespace vit22b {

/// A training run's steps of one tower in this process, on batches that the caller makes: no data,
/// run folder or log. With the batches of a run its weights are that run's, bit for bit.
class BatchTrainer {
 public:
  /// Starts with the weights that the config names; its data.* decide no more than the schedule's
  /// units and what a checkpoint says of preprocessing.
  ///
  /// throws  CheckpointError as load_weights does; UsageError for state=file, which a run keeps
  explicit BatchTrainer(const TrainConfig& config, const Device& device = {});
  BatchTrainer(const BatchTrainer&) = delete;
  BatchTrainer& operator=(const BatchTrainer&) = delete;

  const TrainConfig& config() const { return config_; }
  int64_t steps() const { return steps_; }
  /// The rate of the next step.
  double learning_rate() const { return config_.optim.lr * schedule_.at(steps_); }

  /// The next step of training, at the schedule's rate.
  ///
  /// throws  NumbersError where the loss or the gradient is not finite
  StepResult step(const Task& task, const Batch& batch);
  /// A step at a rate of the caller's choice, which does not count: to time or to check one.
  StepResult rehearse(const Task& task, const Batch& batch, double learning_rate_scale);
  /// A forward pass that keeps nothing, with the averaged weights where the config averages.
  VitOutputs forward(const at::Tensor& input);
  /// Writes the weights as a checkpoint folder; it appears whole or not at all.
  ///
  /// throws  UsageError for a folder that is there already
  void save(FileOps& ops, const std::filesystem::path& folder);

 private:
  StepResult run(const Task& task, const Batch& batch, const StepContext& step);

  TrainConfig config_;
  Mesh mesh_;
  c10::Device device_;
  std::unique_ptr<TrainedModel> model_;
  std::optional<BaseWeights> base_;  ///< that what is saved stands beside
  bool is_for_peft_ = false;         ///< whether PEFT reads that there as this model
  Schedule schedule_;
  int64_t steps_ = 0;
};

}  // namespace vit22b
