#pragma once
#include <cstdint>
#include <string>

#include "core/fields.h"

namespace vit22b {

/// The options under `schedule.` in a training config.
struct ScheduleConfig {
  std::string name = "rsqrt";
  double timescale = 10'000;

  void fields(FieldVisitor& visitor);
  /// throws  UsageError naming a field that is out of its range, and the range
  void check() const;
};

/// A learning-rate schedule: a pure function of the step.
struct Schedule {
  ScheduleConfig config;
  int64_t total_steps = 1;
  int64_t warmup_steps = 0;
  int64_t cooldown_steps = 0;

  /// The factor on the base rate at a step: curve × min(1, t / warmup) × min(1, (total - t) /
  /// cooldown).
  ///
  /// rsqrt 1 / sqrt(1 + (t - warmup) / timescale), cosine (1 + cos(pi p)) / 2 and linear 1 - p with
  /// p the part of the way from warm-up's end to the total, constant 1. source  big_vision utils.py
  /// create_learning_rate_schedule
  double at(int64_t step) const;
};

}  // namespace vit22b
