#pragma once
#include <string>
#include <vector>

#include "core/device_spec.h"
#include "plan/task_work.h"
#include "train/config.h"
#include "train/other_models.h"

namespace vit22b {

/// A command to be planned: `train` with a config, or `features` over one batch of images.
struct PlanRequest {
  TrainConfig config;  ///< of inference: model, precision, engine and data.batch_size
  OtherModels others;  ///< of training
  bool is_training = false;
  std::string store = "resident";  ///< of inference: resident, streamed or generated
  std::string device = kThisDevice;
  int64_t data_bytes = 0;        ///< of samples that the run keeps in memory
  int64_t checkpoint_bytes = 0;  ///< of the tensors of init_from; 0: float32 of a preset's
  TaskWork task_work;            ///< of training, as the planner measures it
  double mfu = 0;  ///< a share of the peak to reckon with instead of a roofline; 0 for none

  bool is_here() const { return device == kThisDevice; }
  /// Whether each pass reads the weights again.
  bool is_streamed() const { return (is_training ? config.store : store) == "streamed"; }
  /// Whether weights and state lie in the host's memory and are used on a device.
  bool has_state_on_host() const { return config.state == "host" && !is_here(); }
  int64_t num_ranks() const { return config.mesh.data * config.mesh.model; }
};

/// Reads a plan's words: a preset, a checkpoint, or a training config's file, then `batch= mode=
/// device= store= mfu=` and a config's overrides.
///
/// throws  UsageError as train_config_from_tree and check_mesh do; for a train with an engine
///         other than fused, whose memory is not known; CheckpointError for a checkpoint
PlanRequest read_plan_request(const std::string& name, const std::vector<std::string>& words);

}  // namespace vit22b
