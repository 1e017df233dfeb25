#pragma once
#include <cstdint>

namespace vit22b {

/// How much more memory this process has at most, from the meter's construction on: of all threads
/// and libraries, pages that are really there. One at a time.
class ResidentMeter {
 public:
  ResidentMeter();
  /// Bytes; 0 where the system does not tell.
  int64_t peak() const;

 private:
  int64_t before_ = 0;
};

}  // namespace vit22b
