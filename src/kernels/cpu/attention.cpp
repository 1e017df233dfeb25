#include "kernels/cpu/attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tasks.h"
#include "kernels/cpu/tile.h"

namespace vit22b::cpu {
namespace {

// Scores of a block (96 x 512 floats) stay in the second cache beside the keys' and values' panels.
constexpr int64_t kBlockQueries = 16 * kTileRows;
constexpr int64_t kBlockKeys = 8 * kPanelWidth;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Hands out parts of one scratch, each aligned to a line.
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

// B[k, n] in panels of 64 columns, one after the other.
struct Panels {
  float* data;
  int64_t k, n;

  static int64_t floats(int64_t k, int64_t n) {
    return k * (n / kPanelWidth * kPanelWidth + panel_width(n % kPanelWidth));
  }
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

// c[m, count] (+)= a · panels[rows first_k .. of B, columns first ..]
struct BlockProduct {
  const float* a;
  int64_t a_stride;
  Side side = Side::kPlain;  // kTransposed: a is [k, m]
  int64_t first_k = 0, k = 0;
  int64_t first_column = 0;
  bool is_accumulating = false;
};
void multiply(const BlockProduct& p, const Panels& b, const Tile& c) {
  const bool is_plain = p.side == Side::kPlain;
  for (int64_t j = 0; j < c.columns; j += kPanelWidth) {
    const int64_t column = p.first_column + j;
    const int64_t n = std::min(kPanelWidth, c.columns - j);
    tile_product({.a = p.a,
                  .a_row_stride = is_plain ? p.a_stride : 1,
                  .a_k_stride = is_plain ? 1 : p.a_stride,
                  .a_group_stride = is_plain ? kTileRows * p.a_stride : kTileRows,
                  .panel = b.data + column * b.k + p.first_k * panel_width(b.n - column),
                  .c = c.data + j,
                  .c_stride = c.stride,
                  .m = c.rows,
                  .n = n,
                  .k = p.k,
                  .is_accumulating = p.is_accumulating});
  }
}

// One head of one image, and what both passes need of it.
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

// Scratch of a forward task.
struct ForwardWork {
  Panels keys, values;  // [K, T] and [T, K]
  float *raw, *queries, *scores, *out, *maxima, *sums, *corrections;

  explicit ForwardWork(const AttentionShape& s) {
    const int64_t t = s.tokens, d = s.head_size, block_keys = std::min(kBlockKeys, t);
    const int64_t floats = Panels::floats(d, t) + Panels::floats(t, d) + t * d +
                           kBlockQueries * (2 * d + block_keys + 3) + 16 * kPanelStep;
    Parts parts(thread_scratch().c.get(floats));
    keys = {parts.take(Panels::floats(d, t)), d, t};
    values = {parts.take(Panels::floats(t, d)), t, d};
    raw = parts.take(t * d);
    queries = parts.take(kBlockQueries * d);
    scores = parts.take(kBlockQueries * block_keys);
    out = parts.take(kBlockQueries * d);
    maxima = parts.take(kBlockQueries);
    sums = parts.take(kBlockQueries);
    corrections = parts.take(kBlockQueries);
  }
};

void load_keys_values(const AttentionShape& s, const Head& head, const ForwardWork& work) {
  const Tile raw{work.raw, s.head_size, s.tokens, s.head_size};
  head.normalised(1, 0, raw);
  work.keys.pack_columns_of(raw.data, raw.stride);
  const Rows values = head.of(s.qkv, 2);
  if (values.storage == Storage::kFloat32)
    return work.values.pack_rows_of(static_cast<const float*>(values.data), values.stride);
  load_rows(values, raw);
  work.values.pack_rows_of(raw.data, raw.stride);
}

struct Block {
  int64_t first, count;
};

// All keys for one block of queries.
void forward_queries(const AttentionShape& s, const Head& head, const ForwardWork& w,
                     Block queries_block, const Rows& out, float* lse) {
  const auto [first, count] = queries_block;
  const int64_t d = s.head_size;
  const Tile queries{w.queries, d, count, d}, sum{w.out, d, count, d};
  head.normalised(0, first, queries);
  std::fill_n(w.maxima, count, -std::numeric_limits<float>::infinity());
  std::fill_n(w.sums, count, 0.0F);
  for (int64_t key = 0; key < s.tokens; key += kBlockKeys) {
    const int64_t keys = std::min(kBlockKeys, s.tokens - key);
    const Tile scores{w.scores, keys, count, keys};
    multiply({.a = queries.data, .a_stride = d, .k = d, .first_column = key}, w.keys, scores);
    online_softmax(scores, w.maxima, w.sums, w.corrections);
    if (key > 0) scale_rows(sum, w.corrections);
    multiply(
        {.a = scores.data, .a_stride = keys, .first_k = key, .k = keys, .is_accumulating = key > 0},
        w.values, sum);
  }
  for (int64_t i = 0; i < count; ++i) {
    w.corrections[i] = 1 / w.sums[i];
    if (lse != nullptr) lse[first + i] = w.maxima[i] + std::log(w.sums[i]);
  }
  scale_rows(sum, w.corrections);
  store_rows(sum, head.of(out, 0, first));
}

}  // namespace

void attention_forward(const AttentionShape& s, const Rows& out, float* lse) {
  // Few heads and many threads: cut each head's queries, at the price of packing its keys again.
  const int64_t heads = s.images * s.heads, blocks = ceil_div(s.tokens, kBlockQueries);
  const int64_t wanted = ceil_div(2 * at::get_num_threads(), heads);
  const int64_t cuts = heads >= 2 * at::get_num_threads() ? 1 : std::min(wanted, blocks);
  const int64_t blocks_per_cut = ceil_div(blocks, cuts);
  for_each_task(heads * cuts, [&](int64_t task) {
    const ForwardWork work(s);
    const Head head(s, task / cuts);
    load_keys_values(s, head, work);
    const int64_t first = task % cuts * blocks_per_cut * kBlockQueries;
    const int64_t last = std::min(s.tokens, first + blocks_per_cut * kBlockQueries);
    for (int64_t i = first; i < last; i += kBlockQueries)
      forward_queries(s, head, work, {i, std::min(kBlockQueries, last - i)}, out,
                      lse == nullptr ? nullptr : lse + task / cuts * s.tokens);
  });
}

namespace {

// Scratch of a backward task: a whole head's keys, values and their gradients.
struct BackwardWork {
  Panels keys, keys_transposed, values_transposed;  // [T, K], [K, T], [K, T]
  Panels block_queries, block_d_out;                // [queries, K]
  float *raw, *d_keys, *d_values;                   // [T, K]
  float *queries, *d_queries, *d_out;               // [queries, K]
  float *scores, *d_scores, *delta;

  explicit BackwardWork(const AttentionShape& s) {
    const int64_t t = s.tokens, d = s.head_size, block = std::min(kBlockKeys, t),
                  queries_rows = kBlockQueries;
    const int64_t floats = Panels::floats(t, d) + 2 * Panels::floats(d, t) +
                           2 * Panels::floats(queries_rows, d) + 3 * t * d +
                           queries_rows * (3 * d + 2 * block + 1) + 32 * kPanelStep;
    Parts parts(thread_scratch().c.get(floats));
    keys = {parts.take(Panels::floats(t, d)), t, d};
    keys_transposed = {parts.take(Panels::floats(d, t)), d, t};
    values_transposed = {parts.take(Panels::floats(d, t)), d, t};
    block_queries = {parts.take(Panels::floats(queries_rows, d)), queries_rows, d};
    block_d_out = {parts.take(Panels::floats(queries_rows, d)), queries_rows, d};
    raw = parts.take(t * d);
    d_keys = parts.take(t * d);
    d_values = parts.take(t * d);
    queries = parts.take(queries_rows * d);
    d_queries = parts.take(queries_rows * d);
    d_out = parts.take(queries_rows * d);
    scores = parts.take(queries_rows * block);
    d_scores = parts.take(queries_rows * block);
    delta = parts.take(queries_rows);
  }
};

// What the backward pass reads and writes, whole.
struct BackwardTensors {
  const Rows& out;
  const float* lse;
  const Rows& d_out;
  const Rows& d_qkv;
};

struct BackwardHead {
  const AttentionShape& s;
  const Head& head;
  BackwardWork& w;

  void load() const {
    const Tile raw{w.raw, s.head_size, s.tokens, s.head_size};
    load_rows(head.of(s.qkv, 2), raw);
    w.values_transposed.pack_columns_of(raw.data, raw.stride);
    head.normalised(1, 0, raw);
    w.keys_transposed.pack_columns_of(raw.data, raw.stride);
    w.keys.pack_rows_of(raw.data, raw.stride);
  }

  // Adds one block of queries to d_keys and d_values, and gives d_queries.
  void queries(int64_t first, int64_t count, const Rows& out, const float* lse,
               const Rows& d_out_rows) {
    const int64_t d = s.head_size;
    const Tile q{w.queries, d, count, d}, d_q{w.d_queries, d, count, d},
        d_out{w.d_out, d, count, d};
    head.normalised(0, first, q);
    load_rows(head.of(d_out_rows, 0, first), d_out);
    row_dots(d_out, head.of(out, 0, first), w.delta);
    Panels q_panels = w.block_queries, d_out_panels = w.block_d_out;
    q_panels.k = d_out_panels.k = count;
    q_panels.pack_rows_of(q.data, d);
    d_out_panels.pack_rows_of(d_out.data, d);
    for (int64_t key = 0; key < s.tokens; key += kBlockKeys) {
      const int64_t keys = std::min(kBlockKeys, s.tokens - key);
      const Tile p{w.scores, keys, count, keys}, d_p{w.d_scores, keys, count, keys};
      const Tile d_v{w.d_values + key * d, d, keys, d}, d_k{w.d_keys + key * d, d, keys, d};
      multiply({.a = q.data, .a_stride = d, .k = d, .first_column = key}, w.keys_transposed, p);
      softmax_by_lse(p, lse + first);
      multiply({.a = d_out.data, .a_stride = d, .k = d, .first_column = key}, w.values_transposed,
               d_p);
      const BlockProduct by_weights{.a = p.data,
                                    .a_stride = keys,
                                    .side = Side::kTransposed,
                                    .k = count,
                                    .is_accumulating = first > 0};
      multiply(by_weights, d_out_panels, d_v);
      softmax_backward(p, d_p, w.delta);
      multiply(by_weights, q_panels, d_k);
      multiply(
          {.a = p.data, .a_stride = keys, .first_k = key, .k = keys, .is_accumulating = key > 0},
          w.keys, d_q);
    }
  }
};

void backward_head(const AttentionShape& s, int64_t index, BackwardWork& w,
                   const BackwardTensors& tensors, const QkNormGradients& sums) {
  const auto& [out, lse, d_out, d_qkv] = tensors;
  const Head head(s, index);
  BackwardHead backward{s, head, w};
  backward.load();
  const int64_t d = s.head_size;
  for (int64_t first = 0; first < s.tokens; first += kBlockQueries) {
    const int64_t count = std::min(kBlockQueries, s.tokens - first);
    backward.queries(first, count, out, lse + index * s.tokens, d_out);
    const Tile d_q{w.d_queries, d, count, d};
    head.normalised_backward(0, first, d_q, sums.q_weight, sums.q_bias);
    store_rows(d_q, head.of(d_qkv, 0, first));
  }
  const Tile d_k{w.d_keys, d, s.tokens, d}, d_v{w.d_values, d, s.tokens, d};
  head.normalised_backward(1, 0, d_k, sums.k_weight, sums.k_bias);
  store_rows(d_k, head.of(d_qkv, 1));
  store_rows(d_v, head.of(d_qkv, 2));
}

}  // namespace

void attention_backward(const AttentionShape& s, const Rows& out, const float* lse,
                        const Rows& d_out, const Rows& d_qkv, const QkNormGradients& norms) {
  // Each head adds the norms' gradients to rows of its own, which are then summed in a fixed order.
  const int64_t heads = s.images * s.heads, d = s.head_size;
  float* const targets[] = {norms.q_weight, norms.q_bias, norms.k_weight, norms.k_bias};
  std::vector<float> partial(static_cast<size_t>(4 * heads * d), 0.0F);
  for_each_task(heads, [&](int64_t i) {
    BackwardWork work(s);
    float* sums = partial.data() + 4 * i * d;
    backward_head(
        s, i, work, {out, lse, d_out, d_qkv},
        {norms.q_weight != nullptr ? sums : nullptr, norms.q_bias != nullptr ? sums + d : nullptr,
         norms.k_weight != nullptr ? sums + 2 * d : nullptr,
         norms.k_bias != nullptr ? sums + 3 * d : nullptr});
  });
  for (int64_t part = 0; part < 4; ++part)
    if (targets[part] != nullptr)
      add_column_sums({partial.data() + part * d, 4 * d, heads, d}, targets[part]);
}

}  // namespace vit22b::cpu
