#pragma once
#include <cmath>
#include <string>

namespace vit22b {

/// Which of two values of a metric is the better one.
enum class Better { kLarger, kSmaller };

/// What a number says, for whoever compares or shows it.
struct Metric {
  std::string name;
  std::string unit;  ///< such as "share", "nats", "m"; "" for none
  Better better = Better::kLarger;

  /// Whether a value is better than another; what is not a number never is.
  bool is_better(double value, double than) const {
    return better == Better::kLarger ? value > than : value < than;
  }
};

}  // namespace vit22b
