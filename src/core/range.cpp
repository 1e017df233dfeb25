#include "core/range.h"

#include <cmath>

#include "core/error.h"

namespace vit22b {
namespace {

std::string text_of(const Range& range) {
  const std::string low = concat(range.has_low ? "" : "more than ", range.low);
  if (std::isinf(range.high)) return low + (range.has_low ? " or more" : "");
  return concat(low, range.has_low ? " to " : ", at most ", range.has_high ? "" : "below ",
                range.high);
}

}  // namespace

void check_range(const char* field, double value, const Range& range) {
  const bool is_above = range.has_low ? value >= range.low : value > range.low;
  const bool is_below = range.has_high ? value <= range.high : value < range.high;
  if (is_above && is_below && std::isfinite(value)) return;
  throw UsageError(field, " is ", value, ", want ", text_of(range));
}

}  // namespace vit22b
