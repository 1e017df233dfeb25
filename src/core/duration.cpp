#include "core/duration.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace vit22b {

int64_t to_steps(const Duration& duration, const DurationScale& scale, int64_t otherwise) {
  using Unit = Duration::Unit;
  double steps = 0;
  switch (duration.unit) {
    case Unit::kUnset:
      return otherwise;
    case Unit::kSteps:
      steps = duration.value;
      break;
    case Unit::kExamples:
      steps = duration.value / static_cast<double>(scale.batch_size);
      break;
    case Unit::kEpochs:
      if (scale.examples_per_epoch == 0)
        throw UsageError("a duration in epochs needs a data set of known size");
      steps = duration.value * static_cast<double>(scale.examples_per_epoch) /
              static_cast<double>(scale.batch_size);
      break;
    case Unit::kPercent:
      if (scale.total_steps == 0)
        throw UsageError("the total cannot be given in percent of itself");
      steps = duration.value / 100 * static_cast<double>(scale.total_steps);
      break;
  }
  if (!(steps >= 0) || steps > 1e15)
    throw UsageError("a duration of ", duration.value, " is out of range");
  return steps > 0 ? std::max<int64_t>(1, std::llround(steps)) : 0;
}

}  // namespace vit22b
