#pragma once
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "core/file.h"

namespace vit22b {

/// Which parts of a file have come, on disk beside it: a line that says which file it is, then a
/// letter a part. What does not fit the file is no map of it.
class PartMap {
 public:
  /// identity    of the file and how it is cut; another one's map is thrown away
  PartMap(FileOps& ops, std::filesystem::path path, const std::string& identity, int64_t parts);
  ~PartMap();
  PartMap(const PartMap&) = delete;
  PartMap& operator=(const PartMap&) = delete;

  /// Whether an earlier process had begun.
  bool is_resumed() const { return is_resumed_; }
  /// The next part that nobody has or fetches, or -1.
  int64_t take();
  /// It is in the file.
  void note_done(int64_t part);
  int64_t num_done() const;
  bool is_whole() const { return num_done() == static_cast<int64_t>(states_.size()); }

 private:
  bool read(const std::string& line);

  FileOps& ops_;
  std::filesystem::path path_;
  size_t first_ = 0;  ///< offset of the parts' letters
  int descriptor_ = -1;
  bool is_resumed_ = false;
  mutable std::mutex mutex_;
  std::vector<char> states_;
};

}  // namespace vit22b
