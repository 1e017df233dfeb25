#pragma once
#include <cstdint>
#include <string>

#include "data/source.h"

namespace vit22b {

/// Pictures of a test that are training pictures too, byte for byte.
struct Overlap {
  int64_t count = 0;                 ///< of the test's pictures
  std::string test_id, training_id;  ///< the first such pair
};

/// Compares hashes of the samples' bytes; every file is read once. What cannot be read is in
/// neither.
Overlap find_overlap(const DataSource& training, const DataSource& test);

/// Checks that no picture of a test is a training picture too.
///
/// throws  DataError that counts them and names a pair
void check_overlap(const DataSource& training, const DataSource& test);

}  // namespace vit22b
