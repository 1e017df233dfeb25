#pragma once

namespace vit22b {

/// The end of every message of a lost rank: true whether or not the run has saved anything.
constexpr const char* kAfterALoss =
    "; what was saved is whole: start the same command again to go on from it";

}  // namespace vit22b
