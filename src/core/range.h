#pragma once
#include <limits>

namespace vit22b {

/// The numbers that an option takes; infinity is never one of them.
struct Range {
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  bool has_low = true, has_high = true;  ///< whether the ends belong to it

  /// Any finite number from 0 on.
  static Range from_zero() { return {}; }
  /// Any finite number above 0.
  static Range positive() { return {.has_low = false}; }
  /// From 0 to below 1, as a factor of a running mean.
  static Range below_one() { return {.high = 1, .has_high = false}; }
  /// From 0 to 1, both included.
  static Range share() { return {.high = 1}; }
};

/// throws  UsageError naming the field, its value and the range; for NaN and infinity too
void check_range(const char* field, double value, const Range& range);

}  // namespace vit22b
