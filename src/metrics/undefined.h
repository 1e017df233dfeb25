#pragma once
#include <limits>

namespace vit22b::metrics {

/// What a number is that has no value, such as a share of nothing: JSON's null.
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

}  // namespace vit22b::metrics
