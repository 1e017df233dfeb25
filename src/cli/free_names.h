#pragma once
#include <set>
#include <string>

namespace vit22b {

/// Names of files that are written for pictures: each has the picture's own, or with a number where
/// another has it.
class FreeNames {
 public:
  /// id  the picture's path
  std::string name(const std::string& id);

 private:
  std::set<std::string> taken_;
};

}  // namespace vit22b
