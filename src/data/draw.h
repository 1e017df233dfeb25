#pragma once
#include <cstdint>

#include "core/rng.h"

namespace vit22b {

/// The random numbers of one transform on one sample.
class Draw {
 public:
  Draw(const CounterRng& rng, uint64_t global_index)
      : rng_(rng), first_(global_index * kPerSample) {}
  /// Uniform in [0, 1); k < 64.
  float uniform(uint64_t k) const { return rng_.uniform(first_ + k); }

 private:
  static constexpr uint64_t kPerSample = 64;
  const CounterRng& rng_;
  uint64_t first_;
};

}  // namespace vit22b
