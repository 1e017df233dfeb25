#pragma once
#include <filesystem>
#include <string>

#include "core/file.h"

namespace vit22b {

/// RUN/tb: the rows of metrics.jsonl once more, for TensorBoard. The file's name has the second at
/// which the run began; an event's time is that and the time spent training.
class EventLog {
 public:
  EventLog(FileOps& ops, std::filesystem::path folder);

  /// Makes the file anew from the rows that there are: a resumed run may have lost some.
  ///
  /// throws  UsageError when it cannot be written
  void restart(const std::string& rows);
  /// Adds a row.
  void append(const std::string& row);

 private:
  std::string event(const std::string& row);

  FileOps& ops_;
  std::filesystem::path folder_, path_;
  double start_s_ = 0, train_seconds_ = 0;
};

}  // namespace vit22b
