#pragma once
#include <cstdint>
#include <memory>

#include "dist/transport.h"

namespace vit22b {

/// In both benchmarks of transfers these take half of the time of what they could hide behind.
constexpr double kTransferShare = 0.5;

/// What the sharded store's gatherings of two passes took, without each pass's first.
struct GatherTimes {
  double transfer_s = 0;  ///< on the wire
  double waited_s = 0;    ///< of it not hidden
  double hidden_fraction() const { return 1 - waited_s / transfer_s; }
};

/// The sharded store's walks over a model's units on a throttled link; each unit's computation is a
/// sleep of twice the time that its gathering takes. Every rank calls it; `times` is set once.
void time_gathers(int64_t procs, const std::shared_ptr<Transport>& plain, GatherTimes& times);

}  // namespace vit22b
