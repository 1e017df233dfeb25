#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tile.h"

/// The factors of a product in the forms that tile_product takes: panels of B, blocks of A.
namespace vit22b::cpu {

/// Words that k steps take: pairs of bfloat16 share one.
constexpr int64_t words_of(int64_t k, Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kHalf ? (k + 1) / 2 : k;
}

/// k x n of B, lying as [n, k] when transposed.
struct PanelSource {
  Rows b;
  bool is_transposed;
  int64_t k, n;
};
PanelSource panel_source(const Rows& b, bool is_transposed, int64_t first_k, int64_t k,
                         int64_t column, int64_t n);

/// Packs at most kPanelWidth columns of B as a panel of words_of(k) rows.
void pack_panel(const PanelSource& from, Arithmetic arithmetic, Scratch& scratch, float* panel);

/// A block of A: where it lies, or a copy in scratch.
struct BlockOfA {
  const float* data;
  int64_t row_stride, k_stride, group_stride;
};
/// a is [rows, k].
BlockOfA rows_of_a(const Rows& a, int64_t rows, int64_t k, Arithmetic arithmetic, Scratch& scratch);
/// a is [k, rows].
BlockOfA columns_of_a(const Rows& a, int64_t rows, int64_t k, Arithmetic arithmetic,
                      ThreadScratch& scratch);

/// Of bfloat16 a[k, rows]: the transpose's rows, pairs next to each other, which is how the matrix
/// unit wants them; an odd k is filled with zero. `memory` has transposed_floats(rows, k).
BlockOfA transposed_pairs(const uint16_t* a, int64_t stride, int64_t rows, int64_t k,
                          float* memory);
/// A line of words between the rows keeps them out of each other's sets of the first cache; as much
/// again holds the words of some rows of a.
constexpr int64_t transposed_floats(int64_t rows, int64_t k) {
  return rows * (ceil_div(k, 2) + 2 * kPanelStep);
}

}  // namespace vit22b::cpu
