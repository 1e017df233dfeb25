#pragma once
#include <cstdint>

/// Factors of small products in the forms of tile.h: panels of B, pairs of bfloat16, transposes.
///
/// Compiled once for each instruction set and chosen at run time; no threads, no allocation.
namespace vit22b::cpu {

/// Packs b[k, n] (rows of n floats, `stride` apart) into a panel.
void pack_rows(const float* b, int64_t stride, int64_t k, int64_t n, float* panel);
/// Packs the transpose of w[n, k] (rows of k floats, `stride` apart) into a panel.
void pack_transposed(const float* w, int64_t stride, int64_t k, int64_t n, float* panel);
/// Packs bfloat16 b[k, n] (rows `stride` apart) into a panel of pairs; an odd k is filled with
/// zero.
void pack_pairs(const uint16_t* b, int64_t stride, int64_t k, int64_t n, float* panel);

/// Rounds values to bfloat16 where they lie.
void round_to_half(float* values, int64_t n);

/// words[j] = the pair of low[j] and high[j]; `high` null stands for zeros.
void pair_rows(const uint16_t* low, const uint16_t* high, int64_t n, float* words);
/// out[column, row] = from[row, column]
void transpose(const float* from, int64_t stride, int64_t rows, int64_t columns, float* out,
               int64_t out_stride);

}  // namespace vit22b::cpu
