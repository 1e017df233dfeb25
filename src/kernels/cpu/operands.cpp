#include "kernels/cpu/operands.h"

#include <algorithm>
#include <cstring>

namespace vit22b::cpu {
namespace {

// A matrix as bfloat16 with rows of `columns` values (even or padded with zero), in scratch.
struct HalfRows {
  const uint16_t* data;
  int64_t stride;
};

HalfRows as_half(const Rows& from, int64_t rows, int64_t columns, Scratch& scratch) {
  const int64_t stride = columns + columns % 2;
  float* memory = scratch.get(rows * columns + rows * stride);
  const Tile values{memory, columns, rows, columns};
  load_rows(from, values);
  auto* half = reinterpret_cast<uint16_t*>(memory + rows * columns);
  store_rows(values, {half, stride, Storage::kBFloat16});
  if (stride != columns)
    for (int64_t i = 0; i < rows; ++i) half[i * stride + columns] = 0;
  return {half, stride};
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

void group_floats(const float* source, int64_t source_stride, int64_t rows, int64_t k,
                  const Groups& groups) {
  // Row by row of the source: a row is one page, a group's column is as many pages as rows.
  // Copies of 8 floats where they fit: the 2 too many are overwritten by the next row's.
  constexpr int64_t kCopied = 8;
  const int64_t wide = rows < kCopied ? 0 : (rows - kCopied) / kTileRows * kTileRows + kTileRows;
  constexpr int64_t kAhead = 16;  // rows; the hardware does not see the next row coming
  for (int64_t i = 0; i < k; ++i, source += source_stride) {
    float* out = groups.data + i * kTileRows;
    if (i + kAhead < k)
      for (int64_t j = 0; j < rows; j += kPanelStep)
        __builtin_prefetch(source + kAhead * source_stride + j);
    int64_t first = 0;
    for (; first < wide; first += kTileRows, out += groups.stride)
      std::memcpy(out, source + first, kCopied * sizeof(float));  // a constant size: inlined
    for (; first < rows; first += kTileRows, out += groups.stride)
      std::copy(source + first, source + std::min(rows, first + kTileRows), out);
  }
}

void group_pairs(const HalfRows& source, int64_t rows, int64_t k, const Groups& groups) {
  for (int64_t i = 0; i < k; i += 2) {
    const uint16_t* low = source.data + i * source.stride;
    const uint16_t* high = i + 1 < k ? low + source.stride : nullptr;
    for (int64_t j = 0; j < rows; ++j) {
      const uint32_t word = low[j] | (high == nullptr ? 0U : static_cast<uint32_t>(high[j]) << 16);
      std::memcpy(groups.data + j / kTileRows * groups.stride + i / 2 * kTileRows + j % kTileRows,
                  &word, sizeof word);
    }
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
    const HalfRows half = as_half(source, rows, columns, scratch);
    return is_transposed
               ? pack_transposed(as_words(half.data), half.stride / 2, half.stride / 2, n, panel)
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
}

BlockOfA rows_of_a(const Rows& a, int64_t rows, int64_t k, Arithmetic arithmetic,
                   Scratch& scratch) {
  const bool is_half = arithmetic == Arithmetic::kHalf;
  const bool is_in_place = is_half ? a.storage == Storage::kBFloat16 && a.stride % 2 == 0 &&
                                         k % 2 == 0 && reinterpret_cast<uintptr_t>(a.data) % 4 == 0
                                   : a.storage == Storage::kFloat32;
  if (is_in_place)
    return by_rows(static_cast<const float*>(a.data), is_half ? a.stride / 2 : a.stride);
  if (is_half) {
    const HalfRows half = as_half(a, rows, k, scratch);
    return by_rows(as_words(half.data), half.stride / 2);
  }
  const Tile copy{scratch.get(rows * k), k, rows, k};
  load_rows(a, copy);
  return by_rows(copy.data, k);
}

BlockOfA columns_of_a(const Rows& a, int64_t rows, int64_t k, Arithmetic arithmetic,
                      ThreadScratch& scratch) {
  const int64_t words = words_of(k, arithmetic);
  const int64_t stride = words * kTileRows + kPanelStep;
  const Groups groups{scratch.groups.get(ceil_div(rows, kTileRows) * stride), stride};
  if (arithmetic == Arithmetic::kHalf) {
    group_pairs(as_half(a, k, rows, scratch.a), rows, k, groups);
  } else if (a.storage != Storage::kFloat32) {
    const Tile copy{scratch.a.get(k * rows), rows, k, rows};
    load_rows(a, copy);
    group_floats(copy.data, copy.stride, rows, k, groups);
  } else {
    group_floats(static_cast<const float*>(a.data), a.stride, rows, k, groups);
  }
  return {groups.data, 1, kTileRows, stride};
}

}  // namespace vit22b::cpu
