#include "kernels/cpu/operands.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/pack.h"

namespace vit22b::cpu {
namespace {

// A matrix as bfloat16: where it lies, or a copy in scratch.
struct HalfRows {
  const uint16_t* data;
  int64_t stride;
};

// Where the two values of a word stand: next to each other in a row, which then begins and ends
// with whole words (an odd value beside a zero), or one below the other.
enum class Pairs { kWithinRows, kAcrossRows };

HalfRows as_half(const Rows& from, int64_t rows, int64_t columns, Pairs pairs, Scratch& scratch) {
  const bool has_words =
      from.stride % 2 == 0 && columns % 2 == 0 && reinterpret_cast<uintptr_t>(from.data) % 4 == 0;
  if (from.storage == Storage::kBFloat16 && (has_words || pairs == Pairs::kAcrossRows))
    return {static_cast<const uint16_t*>(from.data), from.stride};
  const int64_t stride = columns + columns % 2;
  const Rows half{scratch.get(ceil_div(rows * stride, 2)), stride, Storage::kBFloat16};
  auto* data = static_cast<uint16_t*>(half.data);
  if (from.storage == Storage::kBFloat16) {
    const auto* source = static_cast<const uint16_t*>(from.data);
    for (int64_t i = 0; i < rows; ++i)
      std::copy_n(source + i * from.stride, columns, data + i * stride);
  } else {
    store_rows({static_cast<float*>(from.data), from.stride, rows, columns}, half);
  }
  if (stride != columns)
    for (int64_t i = 0; i < rows; ++i) data[i * stride + columns] = 0;
  return {data, stride};
}

const float* as_words(const uint16_t* pairs) {
  return reinterpret_cast<const float*>(pairs);
}

BlockOfA by_rows(const float* data, int64_t stride) {
  return {data, stride, 1, kTileRows * stride};
}

// Rows of the transpose, cut into groups of kTileRows: [group][k][kTileRows] words. A line between
// the groups keeps them out of each other's sets of the first cache.
struct Groups {
  float* data;
  int64_t stride;
};

// Deals one row out, kTileRows values to each group.
// Copies of 8 floats where they fit: the 2 too many are overwritten by the next row's.
void deal_row(const float* row, int64_t rows, float* out, int64_t group_stride) {
  constexpr int64_t kCopied = 8;
  const int64_t wide = rows < kCopied ? 0 : (rows - kCopied) / kTileRows * kTileRows + kTileRows;
  int64_t first = 0;
  for (; first < wide; first += kTileRows, out += group_stride)
    std::memcpy(out, row + first, kCopied * sizeof(float));  // a constant size: inlined
  for (; first < rows; first += kTileRows, out += group_stride)
    std::copy(row + first, row + std::min(rows, first + kTileRows), out);
}

// The hardware does not see the next row coming, so many rows ahead.
constexpr int64_t kRowsAhead = 16;
constexpr int64_t kLineBytes = 64;

void prefetch(const void* row, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kLineBytes)
    __builtin_prefetch(static_cast<const char*>(row) + i);
}

// Row by row of the source: a row is one page, a group's column is as many pages as rows.
void group_floats(const float* source, int64_t source_stride, int64_t rows, int64_t k,
                  const Groups& groups) {
  for (int64_t i = 0; i < k; ++i, source += source_stride) {
    if (i + kRowsAhead < k) prefetch(source + kRowsAhead * source_stride, rows * 4);
    deal_row(source, rows, groups.data + i * kTileRows, groups.stride);
  }
}

void group_pairs(const HalfRows& source, int64_t rows, int64_t k, const Groups& groups,
                 float* words) {
  const uint16_t* low = source.data;
  for (int64_t i = 0; i < k; i += 2, low += 2 * source.stride) {
    if (i + kRowsAhead + 1 < k) {
      prefetch(low + kRowsAhead * source.stride, rows * 2);
      prefetch(low + (kRowsAhead + 1) * source.stride, rows * 2);
    }
    pair_rows(low, i + 1 < k ? low + source.stride : nullptr, rows, words);
    deal_row(words, rows, groups.data + i / 2 * kTileRows, groups.stride);
  }
}

}  // namespace

PanelSource panel_source(const Rows& b, bool is_transposed, int64_t first_k, int64_t k,
                         int64_t column, int64_t n) {
  return {is_transposed ? b.at(column, first_k) : b.at(first_k, column), is_transposed, k, n};
}

void pack_panel(const PanelSource& from, Arithmetic arithmetic, Scratch& scratch, float* panel) {
  const auto [b, is_transposed, k, n] = from;
  Rows source = b;
  const int64_t rows = is_transposed ? n : k, columns = is_transposed ? k : n;
  if (arithmetic == Arithmetic::kHalf) {
    const HalfRows half = as_half(source, rows, columns,
                                  is_transposed ? Pairs::kWithinRows : Pairs::kAcrossRows, scratch);
    return is_transposed
               ? pack_transposed(as_words(half.data), half.stride / 2, ceil_div(k, 2), n, panel)
               : pack_pairs(half.data, half.stride, k, n, panel);
  }
  if (source.storage != Storage::kFloat32) {
    const Tile copy{scratch.get(rows * columns), columns, rows, columns};
    load_rows(source, copy);
    source = {copy.data, copy.stride, Storage::kFloat32};
  }
  const auto* data = static_cast<const float*>(source.data);
  is_transposed ? pack_transposed(data, source.stride, k, n, panel)
                : pack_rows(data, source.stride, k, n, panel);
  if (b.is_rounded) round_to_half(panel, k * panel_width(n));
}

BlockOfA rows_of_a(const Rows& a, int64_t rows, int64_t k, Arithmetic arithmetic,
                   Scratch& scratch) {
  if (arithmetic == Arithmetic::kHalf) {
    const HalfRows half = as_half(a, rows, k, Pairs::kWithinRows, scratch);
    return by_rows(as_words(half.data), half.stride / 2);
  }
  if (a.storage == Storage::kFloat32) return by_rows(static_cast<const float*>(a.data), a.stride);
  const Tile copy{scratch.get(rows * k), k, rows, k};
  load_rows(a, copy);
  return by_rows(copy.data, k);
}

BlockOfA columns_of_a(const Rows& a, int64_t rows, int64_t k, Arithmetic arithmetic,
                      ThreadScratch& scratch) {
  if (arithmetic == Arithmetic::kHalf && has_matrix_unit()) {
    const HalfRows half = as_half(a, k, rows, Pairs::kAcrossRows, scratch.a);
    return transposed_pairs(half.data, half.stride, rows, k,
                            scratch.groups.get(transposed_floats(rows, k)));
  }
  const int64_t words = words_of(k, arithmetic);
  const int64_t stride = words * kTileRows + kPanelStep;
  const Groups groups{scratch.groups.get(ceil_div(rows, kTileRows) * stride), stride};
  if (arithmetic == Arithmetic::kHalf) {
    const HalfRows half = as_half(a, k, rows, Pairs::kAcrossRows, scratch.a);
    group_pairs(half, rows, k, groups, scratch.row.get(rows));
  } else if (a.storage != Storage::kFloat32) {
    const Tile copy{scratch.a.get(k * rows), rows, k, rows};
    load_rows(a, copy);
    group_floats(copy.data, copy.stride, rows, k, groups);
  } else {
    group_floats(static_cast<const float*>(a.data), a.stride, rows, k, groups);
  }
  return {groups.data, 1, kTileRows, stride};
}

BlockOfA transposed_pairs(const uint16_t* a, int64_t stride, int64_t rows, int64_t k,
                          float* memory) {
  const int64_t words = ceil_div(k, 2), out_stride = words + kPanelStep;
  float *const some = memory, *const out = memory + kPanelStep * rows;
  for (int64_t first = 0; first < words; first += kPanelStep) {
    const int64_t count = std::min(kPanelStep, words - first);
    const uint16_t* low = a + 2 * first * stride;
    for (int64_t i = 0; i < count; ++i, low += 2 * stride)
      pair_rows(low, 2 * (first + i) + 1 < k ? low + stride : nullptr, rows, some + i * rows);
    transpose(some, rows, count, rows, out + first, out_stride);
  }
  return by_rows(out, out_stride);
}

}  // namespace vit22b::cpu
