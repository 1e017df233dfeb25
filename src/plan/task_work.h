#pragma once
#include <cstdint>
#include <set>

namespace vit22b {

struct PlanRequest;
struct TrainConfig;

/// Outputs of blocks that a task's own head sees.
struct TapBytes {
  int64_t held = 0;       ///< of those that no tape keeps anyway
  int64_t gradients = 0;  ///< of all, where the model trains
};

/// What a task's loss takes beside its towers: of heads that are its own.
struct TaskWork {
  bool exists = false;           ///< else nothing here counts
  bool runs_main = true;         ///< whether steps run the main tower; else what it says is cached
  bool is_main_trained = false;  ///< whether any of it trains
  std::set<int64_t> taps;        ///< the blocks whose outputs the loss sees
  int64_t sample_bytes = 0;      ///< of a sample in a batch
  int64_t constant_bytes = 0, image_bytes = 0;  ///< that the loss holds at its fullest moment
  int64_t gradient_bytes = 0;  ///< of the own weights, held until they are committed
  double image_seconds = 0;

  int64_t bytes(int64_t images) const { return constant_bytes + images * image_bytes; }
  /// trained_blocks  the last ones, which a backward pass goes through
  TapBytes tap_bytes(const TrainConfig& config, int64_t trained_blocks) const;
  double seconds(int64_t images) const { return static_cast<double>(images) * image_seconds; }
};

/// Runs the loss of a training request's task on made-up outputs of its towers, on the CPU: of two
/// and of three images, from which others follow.
///
/// returns  nothing for a task without weights of its own, or without made-up samples
TaskWork measured_task_work(const PlanRequest& request);

}  // namespace vit22b
