#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/operands.h"
#include "kernels/cpu/softmax.h"

/// What attention's two passes share: one head of one image, its blocks, and products of them.
namespace vit22b::cpu {

/// Scores of a block (96 x 512 floats) stay in the second cache beside the keys' and values'
/// panels.
constexpr int64_t kBlockQueries = 16 * kTileRows;
constexpr int64_t kBlockKeys = 8 * kPanelWidth;

/// Hands out parts of one scratch, each aligned to a line.
class Parts {
 public:
  explicit Parts(float* memory) : next_(memory) {}
  float* take(int64_t floats) {
    float* part = next_;
    next_ += ceil_div(floats, kPanelStep) * kPanelStep;
    return part;
  }

 private:
  float* next_;
};

/// B[k, n] in panels of 64 columns, one after the other.
struct Panels {
  float* data;
  int64_t k, n;
  Arithmetic arithmetic;

  int64_t words() const { return words_of(k, arithmetic); }
  /// `b` is [n, k] when transposed.
  void pack(const Rows& b, bool is_transposed) const {
    for (int64_t j = 0; j < n; j += kPanelWidth)
      pack_panel(panel_source(b, is_transposed, 0, k, j, std::min(kPanelWidth, n - j)), arithmetic,
                 thread_scratch().a, data + j * words());
  }
};

/// c[m, count] (+)= a · panels[rows first_k .. of B, columns first ..]
struct BlockProduct {
  BlockOfA a;
  int64_t first_k = 0, k = 0;
  int64_t first_column = 0;
  bool is_accumulating = false;
};
inline void multiply(const BlockProduct& p, const Panels& b, const Tile& c) {
  for (int64_t j = 0; j < c.columns; j += kPanelWidth) {
    const int64_t column = p.first_column + j;
    const int64_t n = std::min(kPanelWidth, c.columns - j);
    tile_product(
        {.arithmetic = b.arithmetic,
         .a = p.a.data,
         .a_row_stride = p.a.row_stride,
         .a_k_stride = p.a.k_stride,
         .a_group_stride = p.a.group_stride,
         .panel = b.data + panel_offset(b.words(), b.n, column, words_of(p.first_k, b.arithmetic)),
         .c = c.data + j,
         .c_stride = c.stride,
         .m = c.rows,
         .n = n,
         .k = words_of(p.k, b.arithmetic),
         .is_accumulating = p.is_accumulating});
  }
}

/// How a product's factors are stored.
constexpr Storage storage_of(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kHalf ? Storage::kBFloat16 : Storage::kFloat32;
}

/// Factors of a product over the memory of a tile, row over row.
inline Rows factors_over(const Tile& tile, Arithmetic arithmetic) {
  const Storage storage = storage_of(arithmetic);
  return {tile.data, tile.stride * 4 / storage_bytes(storage), storage};
}

/// One head of one image, and what both passes need of it.
class Head {
 public:
  Head(const AttentionShape& s, int64_t index)
      : s_(s), image_(index / s.heads), head_(index % s.heads) {}

  int64_t width() const { return s_.heads * s_.head_size; }
  // A head's columns of a [B * T, parts * H * K] matrix, from a token on.
  Rows of(const Rows& matrix, int64_t part, int64_t token = 0) const {
    return matrix.at(image_ * s_.tokens + token, part * width() + head_ * s_.head_size);
  }
  // Queries (part 0, scaled) or keys (part 1) as the scores see them.
  void normalised(int64_t part, int64_t token, int64_t rows, const Rows& to) const {
    const NormWeights& norm = part == 0 ? s_.q_norm : s_.k_norm;
    const float factor = part == 0 ? scale() : 1.0F;
    const Rows from = of(s_.qkv, part, token);
    norm.weight != nullptr ? norm_forward(from, rows, s_.head_size, norm, factor, to)
                           : scale_copy(from, rows, s_.head_size, factor, to);
  }
  // The gradient of what `normalised` gave becomes that of the raw queries or keys.
  void normalised_backward(int64_t part, int64_t token, const Tile& gradient, float* weight_sums,
                           float* bias_sums) const {
    const NormWeights& norm = part == 0 ? s_.q_norm : s_.k_norm;
    if (norm.weight != nullptr)
      return norm_backward(of(s_.qkv, part, token), gradient, norm, part == 0 ? scale() : 1.0F,
                           weight_sums, bias_sums);
    const Rows rows{gradient.data, gradient.stride};
    if (part == 0) scale_copy(rows, gradient.rows, gradient.columns, scale(), rows);
  }

 private:
  float scale() const { return 1 / std::sqrt(static_cast<float>(s_.head_size)); }

  const AttentionShape& s_;
  int64_t image_, head_;
};

}  // namespace vit22b::cpu
