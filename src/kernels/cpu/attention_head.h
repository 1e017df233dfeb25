#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/operands.h"
#include "kernels/cpu/softmax.h"

/// What attention's two passes share: one head of one image, its blocks, and products of them.
namespace vit22b::cpu {

/// Scores of a block (96 x 512 floats) stay in the second cache beside the keys' and values'
/// panels.
constexpr int64_t kBlockQueries = 16 * kTileRows;
constexpr int64_t kBlockKeys = 8 * kPanelWidth;

/// Hands out parts of one scratch, each aligned to a line; without memory it counts them.
class Parts {
 public:
  explicit Parts(float* memory) : memory_(memory) {}
  float* take(int64_t floats) {
    float* part = memory_ == nullptr ? nullptr : memory_ + floats_;
    floats_ += ceil_div(floats, kPanelStep) * kPanelStep;
    return part;
  }
  int64_t floats() const { return floats_; }

 private:
  float* memory_;
  int64_t floats_ = 0;
};

/// A thread's scratch for a task, as Work::lay_out(shape, parts) hands it out.
template <typename Work>
Work laid_out(const AttentionShape& s) {
  Work work{};
  Parts counted(nullptr);
  work.lay_out(s, counted);
  Parts parts(thread_scratch().c.get(counted.floats()));
  work.lay_out(s, parts);
  return work;
}

/// Whether some keys are seen by some queries alone, or by none.
inline bool is_masked(const AttentionShape& s) {
  return s.is_causal || s.lengths != nullptr;
}

/// Scratch in which queries or keys are turned, before they are factors.
inline int64_t turned_floats(const AttentionShape& s) {
  return s.rotation.cos == nullptr ? 0 : std::max(s.tokens, kBlockQueries) * s.head_size;
}

/// B[k, n] in panels of 64 columns, one after the other.
struct Panels {
  float* data = nullptr;
  int64_t k = 0, n = 0;
  Arithmetic arithmetic = Arithmetic::kFloat32;

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

  // A head's columns of a matrix of queries, [B * queries, H * K], from a query on.
  Rows queries(const Rows& matrix, int64_t query = 0) const {
    return matrix.at(image_ * s_.queries + query, head_ * s_.head_size);
  }
  // The same of keys or values, [B * tokens, H * K].
  Rows tokens(const Rows& matrix) const {
    return matrix.at(image_ * s_.tokens, head_ * s_.head_size);
  }

  // Keys that scores of the image's queries before `end` are computed for, the first ones: those
  // that one of them sees, in whole panels.
  int64_t keys_before(int64_t end) const {
    return std::min(s_.tokens, ceil_div(seen_before(end), kPanelWidth) * kPanelWidth);
  }
  // Scores of queries from `query` on with keys from `key` on: those not seen become -inf.
  void hide(const Tile& scores, int64_t query, int64_t key) const {
    if (!is_masked(s_)) return;
    for (int64_t i = 0; i < scores.rows; ++i) {
      const int64_t seen = std::clamp<int64_t>(seen_before(query + i + 1) - key, 0, scores.columns);
      float* row = scores.data + i * scores.stride;
      std::fill(row + seen, row + scores.columns, -std::numeric_limits<float>::infinity());
    }
  }

  // Queries (scaled) or keys as the scores see them; `work` has `rows` x K floats.
  void normalised_queries(int64_t query, int64_t rows, const Rows& to, float* work) const {
    normalise({queries(s_.rows.q, query), s_.q_norm, scale(), query}, rows, to, work);
  }
  void normalised_keys(const Rows& to, float* work) const {
    normalise({tokens(s_.rows.k), s_.k_norm, 1, 0}, s_.tokens, to, work);
  }
  // The gradient of what these gave becomes that of the raw queries or keys.
  void queries_backward(int64_t query, const Tile& gradient, const QkNormGradients& sums) const {
    normalise_backward({queries(s_.rows.q, query), s_.q_norm, scale(), query}, gradient,
                       sums.q_weight, sums.q_bias);
  }
  void keys_backward(const Tile& gradient, const QkNormGradients& sums) const {
    normalise_backward({tokens(s_.rows.k), s_.k_norm, 1, 0}, gradient, sums.k_weight, sums.k_bias);
  }

 private:
  // Keys that queries before `end` see.
  int64_t seen_before(int64_t end) const {
    const int64_t all = s_.lengths == nullptr ? s_.tokens : s_.lengths[image_];
    return s_.is_causal ? std::min(all, end) : all;
  }

  // Raw queries or keys, and what scores see of them: factor * norm, then turned.
  struct Side {
    Rows raw;
    const NormWeights& norm;
    float factor;
    int64_t first;  // token
  };

  void normalise(const Side& side, int64_t rows, const Rows& to, float* work) const {
    const int64_t d = s_.head_size;
    const bool is_turned = s_.rotation.cos != nullptr;
    const Rows out = is_turned ? Rows{work, d} : to;
    side.norm.weight != nullptr ? norm_forward(side.raw, rows, d, side.norm, side.factor, out)
                                : scale_copy(side.raw, rows, d, side.factor, out);
    if (!is_turned) return;
    turn({work, d, rows, d}, side.first, 1);
    store_rows({work, d, rows, d}, to);
  }
  void normalise_backward(const Side& side, const Tile& gradient, float* weight_sums,
                          float* bias_sums) const {
    turn(gradient, side.first, -1);
    if (side.norm.weight != nullptr)
      return norm_backward(side.raw, gradient, side.norm, side.factor, weight_sums, bias_sums);
    const Rows rows{gradient.data, gradient.stride};
    if (side.factor != 1) scale_copy(rows, gradient.rows, gradient.columns, side.factor, rows);
  }
  void turn(const Tile& tile, int64_t token, float direction) const {
    const auto& [cos, sin, is_half] = s_.rotation;
    if (cos == nullptr) return;
    const int64_t first = token * s_.head_size;
    rotate_rows(tile, cos + first, sin + first, is_half, direction);
  }
  float scale() const { return 1 / std::sqrt(static_cast<float>(s_.head_size)); }

  const AttentionShape& s_;
  int64_t image_, head_;
};

}  // namespace vit22b::cpu
