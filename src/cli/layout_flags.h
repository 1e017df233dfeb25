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
///
/// formats  the words of --to, and how help says them
void add_layout_flags(CLI::App& command, LayoutFlags& flags, const std::string& formats,
                      const std::string& help);

}  // namespace vit22b
