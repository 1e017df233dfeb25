#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

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

  void pack_rows_of(const float* b, int64_t stride) const {
    for (int64_t j = 0; j < n; j += kPanelWidth)
      pack_rows(b + j, stride, k, std::min(kPanelWidth, n - j), data + j * k);
  }
  // b is [n, k].
  void pack_columns_of(const float* b, int64_t stride) const {
    for (int64_t j = 0; j < n; j += kPanelWidth)
      pack_transposed(b + j * stride, stride, k, std::min(kPanelWidth, n - j), data + j * k);
  }
};

enum class Side { kPlain, kTransposed };

/// c[m, count] (+)= a · panels[rows first_k .. of B, columns first ..]
struct BlockProduct {
  const float* a;
  int64_t a_stride;
  Side side = Side::kPlain;  // kTransposed: a is [k, m]
  int64_t first_k = 0, k = 0;
  int64_t first_column = 0;
  bool is_accumulating = false;
};
inline void multiply(const BlockProduct& p, const Panels& b, const Tile& c) {
  const bool is_plain = p.side == Side::kPlain;
  for (int64_t j = 0; j < c.columns; j += kPanelWidth) {
    const int64_t column = p.first_column + j;
    const int64_t n = std::min(kPanelWidth, c.columns - j);
    tile_product({.a = p.a,
                  .a_row_stride = is_plain ? p.a_stride : 1,
                  .a_k_stride = is_plain ? 1 : p.a_stride,
                  .a_group_stride = is_plain ? kTileRows * p.a_stride : kTileRows,
                  .panel = b.data + panel_offset(b.k, b.n, column, p.first_k),
                  .c = c.data + j,
                  .c_stride = c.stride,
                  .m = c.rows,
                  .n = n,
                  .k = p.k,
                  .is_accumulating = p.is_accumulating});
  }
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
  void normalised(int64_t part, int64_t token, const Tile& to) const {
    const NormWeights& norm = part == 0 ? s_.q_norm : s_.k_norm;
    const float factor = part == 0 ? scale() : 1.0F;
    if (norm.weight != nullptr)
      return norm_forward(of(s_.qkv, part, token), to.rows, to.columns, norm, factor, to);
    load_rows(of(s_.qkv, part, token), to);
    if (part == 0) scale_tile(to);
  }
  // The gradient of what `normalised` gave becomes that of the raw queries or keys.
  void normalised_backward(int64_t part, int64_t token, const Tile& gradient, float* weight_sums,
                           float* bias_sums) const {
    const NormWeights& norm = part == 0 ? s_.q_norm : s_.k_norm;
    if (norm.weight != nullptr)
      return norm_backward(of(s_.qkv, part, token), gradient, norm, part == 0 ? scale() : 1.0F,
                           weight_sums, bias_sums);
    if (part == 0) scale_tile(gradient);
  }

 private:
  float scale() const { return 1 / std::sqrt(static_cast<float>(s_.head_size)); }
  void scale_tile(const Tile& tile) const {
    const std::vector<float> factors(static_cast<size_t>(tile.rows), scale());
    scale_rows(tile, factors.data());
  }

  const AttentionShape& s_;
  int64_t image_, head_;
};

}  // namespace vit22b::cpu
