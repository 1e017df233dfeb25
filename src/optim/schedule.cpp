#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/range.h"

namespace vit22b {

void ScheduleConfig::fields(FieldVisitor& v) {
  v.choice("name", name, "rsqrt|cosine|linear|constant", "curve after warm-up");
  v.field("timescale", timescale, "rsqrt: steps after which the rate has fallen by 1/sqrt(2)");
}

void ScheduleConfig::check() const {
  check_range("schedule.timescale", timescale, Range::positive());
}

double Schedule::at(int64_t step) const {
  const auto t = static_cast<double>(step), total = static_cast<double>(total_steps);
  const auto warmup = static_cast<double>(warmup_steps),
             cooldown = static_cast<double>(cooldown_steps);
  const double progress = std::clamp((t - warmup) / std::max(1.0, total - warmup), 0.0, 1.0);
  double curve = 1;
  if (config.name == "rsqrt")
    curve = t < warmup ? 1 : 1 / std::sqrt(1 + (t - warmup) / config.timescale);
  if (config.name == "cosine") curve = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  if (config.name == "linear") curve = 1 - progress;
  if (warmup > 0) curve *= std::min(1.0, t / warmup);
  if (cooldown > 0) curve *= std::min(1.0, (total - t) / cooldown);
  return curve;
}

}  // namespace vit22b
