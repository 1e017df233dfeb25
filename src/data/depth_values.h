#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/watch.h"
#include "data/source.h"

namespace vit22b {

/// Where depths in metres are plausible: what is nearer or farther is of another unit, most likely.
constexpr double kNearestPlausibleM = 0.05, kFarthestPlausibleM = 1000;

/// throws  DataError naming a PNG of fewer than 16 bits, and what to have instead
///
/// otherwise  what else would do, as ", or .npy"
void check_depth_bits(std::span<const uint8_t> png, const std::string& name,
                      const char* otherwise = "");

/// "mm", "cm", "m", or metres a step such as 1/256 (KITTI's) or 0.0002, as metres.
///
/// throws  UsageError for another word
double depth_step_m(const std::string& unit);

/// A source whose depth maps are decoded, in metres, 0 where nothing was measured.
///
/// step_m  metres of a step of their values
/// throws  (when it reads) DataError for a sample without a depth map, of another size than its
///         picture's, or of fewer than 16 bits
std::shared_ptr<const DataSource> with_depth_metres(std::shared_ptr<const DataSource> source,
                                                    double step_m);

/// Depths of some maps of a source, in metres.
struct DepthSpread {
  int64_t num_maps = 0, num_empty = 0;  ///< of which so many measure nothing
  double nearest = 0, median = 0, farthest = 0;
  double measured_share = 0;  ///< of the pixels

  bool is_plausible() const {
    return median >= kNearestPlausibleM && median <= kFarthestPlausibleM;
  }
};

/// Looks at no more than so many maps, spread evenly over a source of metres.
///
/// throws  DataError where none of them measures anything; Stopped
DepthSpread spread_of_depths(const DataSource& source, int64_t most_maps, const Watch& watch = {});

}  // namespace vit22b
