#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// Names of files that are written for pictures: each has the picture's own, or with a number where
/// another's files have it.
class FreeNames {
 public:
  /// endings  of the files that a picture has: ".npy", ".colours.png"
  explicit FreeNames(std::vector<std::string> endings) : endings_(std::move(endings)) {}

  /// id  the picture's path
  std::string name(const std::string& id);

 private:
  std::vector<std::string> endings_;
  std::set<std::string> taken_;  ///< files
};

/// Whether what is written could stand in a picture's place.
///
/// throws  UsageError where the folder holds one of the pictures
void check_is_apart(const DataSource& pictures, const std::filesystem::path& folder);

}  // namespace vit22b
