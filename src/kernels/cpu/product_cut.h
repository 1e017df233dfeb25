#pragma once
#include <vector>

#include "kernels/cpu/product.h"

namespace vit22b::cpu {

/// How a product is cut, so that every thread has work and what it reads stays in its caches.
struct ProductCut {
  int64_t block_k = 0;        ///< of each term's K at a time
  int64_t block_rows = 0;     ///< rows of a task
  int64_t group_columns = 0;  ///< columns of a task, whole panels
  bool is_in_place = false;   ///< both factors are read where they lie, neither is packed
};

/// The cut of a product of m rows and n columns for this CPU and as many threads as ATen has. In
/// one of four ways: a weight gradient of narrow matrices in place; few rows, each thread with its
/// own columns; a transposed A, packed for wide groups; and all others.
ProductCut cut_product(int64_t m, int64_t n, const std::vector<Term>& terms, Arithmetic arithmetic);

/// Rows and columns of the largest task, and rows of the smallest.
constexpr int64_t kBlockRows = 32 * kTileRows;
constexpr int64_t kLeastBlockRows = 4 * kTileRows;
constexpr int64_t kWideGroupColumns = 24 * kPanelWidth;

}  // namespace vit22b::cpu
