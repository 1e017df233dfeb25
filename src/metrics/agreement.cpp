#include "metrics/agreement.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "metrics/undefined.h"

namespace vit22b::metrics {
namespace {

double share_of(const std::vector<bool>& values) {
  return static_cast<double>(std::count(values.begin(), values.end(), true)) /
         static_cast<double>(values.size());
}

}  // namespace

ErrorConsistency error_consistency(const std::vector<bool>& is_right_1,
                                   const std::vector<bool>& is_right_2) {
  VIT22B_CHECK(is_right_1.size() == is_right_2.size(), "error_consistency: other images");
  if (is_right_1.empty()) return {kUndefined, kUndefined, kUndefined};
  int64_t alike = 0;
  for (size_t i = 0; i < is_right_1.size(); ++i) alike += is_right_1[i] == is_right_2[i] ? 1 : 0;
  const double p1 = share_of(is_right_1), p2 = share_of(is_right_2);
  ErrorConsistency found;
  found.observed = static_cast<double>(alike) / static_cast<double>(is_right_1.size());
  found.expected = p1 * p2 + (1 - p1) * (1 - p2);
  // Where all agree the chance level may be 1 as well.
  found.kappa = found.observed == 1 ? 1 : (found.observed - found.expected) / (1 - found.expected);
  return found;
}

double CueAnswers::shape_bias() const {
  return shape + texture > 0 ? static_cast<double>(shape) / static_cast<double>(shape + texture)
                             : kUndefined;
}

std::vector<double> ranks(std::span<const double> values, bool is_largest_first) {
  std::vector<double> places;
  for (const double value : values) {
    if (std::isnan(value)) {
      places.push_back(kUndefined);
      continue;
    }
    double before = 0, equal = 0;
    for (const double other : values) {
      if (other == value) ++equal;
      if (is_largest_first ? other > value : other < value) ++before;
    }
    places.push_back(before + (equal + 1) / 2);
  }
  return places;
}

}  // namespace vit22b::metrics
