#pragma once
#include <memory>
#include <string>

#include "data/source.h"

namespace vit22b {

/// Pictures of which a side is below this are enlarged to it, corrupted, and reduced again:
/// ImageNet-C's constants are of pictures of 224 pixels.
constexpr int64_t kCorruptedSide = 224;

/// The samples of another source with their pictures corrupted, each by random numbers of its own:
/// of (seed, index).
///
/// name, severity  as `corrupted` has them
/// throws          UsageError for another name or severity
std::shared_ptr<const DataSource> make_corrupted(std::shared_ptr<const DataSource> clean,
                                                 const std::string& name, int64_t severity,
                                                 uint64_t seed);

}  // namespace vit22b
