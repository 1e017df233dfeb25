#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// A kind of source. Each is one file and one line of the list in source.cpp, which the command
/// line, configs, help and completion read.
struct SourceKind {
  const char* name;   ///< what stands before the colon of SRC
  const char* place;  ///< what stands behind it, for help: "DIR", "FILE"
  /// Whether a bare path that is there is one; the first of the list counts.
  bool (*recognises)(const std::filesystem::path& path);
  std::unique_ptr<DataSource> (*open)(const std::filesystem::path& root, const std::string& split,
                                      const SourceOptions& options);
  /// None for a source that has none.
  std::vector<std::string> (*splits)(const std::filesystem::path& root,
                                     const SourceOptions& options);
};

}  // namespace vit22b
