#pragma once
#include <cstdint>

namespace vit22b {

/// Where the elements of a rank's part lie in the whole tensor, both taken as matrices: the part
/// has one range of the whole's columns and a few ranges of its rows.
struct PartLayout {
  /// A gated parallel block's in-projection has five sections of rows, the most there are.
  static constexpr int kMostRanges = 5;
  struct Rows {
    int64_t first = 0;  ///< of the part
    int64_t shift = 0;  ///< added to a row of the part: the whole's row
  };

  int64_t columns = 0, whole_columns = 0;
  int64_t first_column = 0;
  int num_ranges = 0;  ///< 0: the part is the whole
  Rows rows[kMostRanges] = {};
};

}  // namespace vit22b
