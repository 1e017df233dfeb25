#pragma once
#include <memory>

#include "train/config.h"
#include "train/state_setup.h"
#include "train/step.h"

namespace vit22b {

/// What a training run's steps work with, on the CPU, with fresh weights and without data: for who
/// wants to time them.
class StepRehearsal {
 public:
  explicit StepRehearsal(const TrainConfig& config);
  StepRehearsal(const StepRehearsal&) = delete;
  StepRehearsal& operator=(const StepRehearsal&) = delete;

  const TrainConfig& config() const { return config_; }
  /// One step on a whole batch.
  StepResult step(const Task& task, const Batch& batch, double learning_rate_scale);
  /// A forward pass that keeps nothing.
  VitOutputs forward(const at::Tensor& input);

 private:
  ModelContext context() const;

  TrainConfig config_;
  std::vector<ParameterRow> table_;
  Mesh mesh_;
  DeviceMemory memory_{c10::kCPU};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<MasterStore> store_;
  Sinks sinks_;
};

}  // namespace vit22b
