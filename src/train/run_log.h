#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/run_checkpoint.h"
#include "core/progress.h"
#include "train/monitor.h"
#include "train/step.h"
#include "train/throughput.h"

namespace vit22b {

/// What a run tells: the progress bar or line on stderr, and the rows of metrics.jsonl in
/// big_vision's names.
class RunLog {
 public:
  /// flops_of_sample  of a training step
  /// peak             of all ranks, FLOP/s
  RunLog(const TrainConfig& config, double flops_of_sample, int64_t total_steps, double peak,
         Device device, bool is_quiet);

  void add_step(int64_t images, double seconds, double waited_seconds);
  /// Redraws the bar between log steps.
  void show_progress(int64_t step);
  /// Prints the line of a log step and returns its metrics row.
  std::string report(const TrainerState& state, const StepResult& result, double learning_rate,
                     const std::vector<AttentionSignals>& signals);

 private:
  int64_t total_steps_;
  Device device_;
  Throughput throughput_;
  Progress progress_;
  double smoothed_step_seconds_ = 0;
};

/// A validation's row of metrics.jsonl: "val/NAME" for each metric, null where undefined.
std::string validation_line(int64_t step, const std::map<std::string, double>& metrics);

/// A validation's line of the log: the first two metrics.
std::string validation_text(int64_t step, const std::vector<Metric>& metrics,
                            const std::map<std::string, double>& values);

/// Where resume is bitwise: mesh, threads, pieces of a batch, instruction set, program.
std::map<std::string, std::string> run_layout(const TrainConfig& config, const Mesh& mesh);

}  // namespace vit22b
