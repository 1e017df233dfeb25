#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tile.h"

/// The factors of a product in the forms that tile_product takes: panels of B, blocks of A.
namespace vit22b::cpu {

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

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

}  // namespace vit22b::cpu
