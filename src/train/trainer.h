#pragma once
#include <filesystem>
#include <string>

#include "core/device.h"
#include "core/file.h"
#include "dist/mesh.h"
#include "train/config.h"

namespace vit22b {

/// How a run starts and speaks.
struct TrainOptions {
  std::filesystem::path out;
  std::string resume;       ///< checkpoint folder to go on from; "" for the run's own latest
  bool is_resuming = true;  ///< false: start again, setting an earlier run aside
  bool is_quiet = false;
  std::string command_line;
  Device device;
  const Mesh* mesh = nullptr;   ///< ranks that train together; null for one process
  std::filesystem::path trace;  ///< where the run's spans of work go; "" for nowhere
};

/// How a run ended.
struct TrainSummary {
  int64_t step = 0;
  int64_t total = 0;  ///< that the config asks for
  bool was_finished_before = false;
  std::filesystem::path checkpoint;  ///< known on one rank
};

/// Trains a config in a run folder: the only training loop there is.
///
/// Same folder, same command: goes on from its latest checkpoint. The order of samples,
/// augmentation and the schedule are functions of the step, so resuming is bitwise on the same
/// threads, ISA and binary. throws  UsageError, DataError, CheckpointError; NumbersError after a
/// diagnosis; Stopped after a save on a signal
TrainSummary train(const TrainConfig& config, const TrainOptions& options, FileOps& ops);

}  // namespace vit22b
