#pragma once
#include <string>

#include "checkpoint/model_writer.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// How a command's new checkpoint lies on disk.
struct LayoutFlags {
  std::string dtype = "fp32", shard_size, to;

  /// throws  UsageError for a size that is none
  WeightLayout layout() const;
};

/// Adds --dtype, --to and --shard-size.
void add_layout_flags(CLI::App& command, LayoutFlags& flags);

}  // namespace vit22b
