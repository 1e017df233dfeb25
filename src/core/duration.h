#pragma once
#include <cstdint>
#include <string>

namespace vit22b {

/// A length of training, in the unit the user chose; `kUnset` means the option was not given.
struct Duration {
  enum class Unit { kUnset, kSteps, kExamples, kEpochs, kPercent };

  double value = 0;
  Unit unit = Unit::kUnset;

  bool is_set() const { return unit != Unit::kUnset; }
};

/// What turns a duration into steps.
struct DurationScale {
  int64_t batch_size = 1;
  int64_t examples_per_epoch = 0;
  int64_t total_steps = 0;
};

/// Rounds to whole steps (at least 1 for a positive duration); unset gives `otherwise`.
///
/// throws  UsageError when the unit needs a scale that is 0
int64_t to_steps(const Duration& duration, const DurationScale& scale, int64_t otherwise);

/// The four key endings, in the order of Duration::Unit from kSteps on.
inline constexpr const char* kDurationEndings[] = {"_steps", "_examples", "_epochs", "_percent"};

}  // namespace vit22b
