#pragma once
#include <cstdint>

#include "core/rng.h"
#include "data/sampler.h"

namespace vit22b {

/// Which of some samples stand in for bad ones, by (seed, global index, attempt).
class Replacements {
 public:
  explicit Replacements(uint64_t seed) : rng_(seed, "replacement", "") {}
  /// One of `count` samples.
  int64_t draw(uint64_t global_index, uint64_t attempt, int64_t count) const {
    return static_cast<int64_t>(
        rng_.below(global_index * kReplacementTries + attempt, static_cast<uint64_t>(count)));
  }

 private:
  CounterRng rng_;
};

}  // namespace vit22b
