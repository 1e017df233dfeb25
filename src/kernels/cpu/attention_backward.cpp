#include "kernels/cpu/amx.h"
#include "kernels/cpu/attention_head.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/tasks.h"

namespace vit22b::cpu {
namespace {

// Scratch of a backward task: a whole head's keys, values and their gradients.
struct BackwardWork {
  Panels keys, keys_transposed, values_transposed;  // [T, K], [K, T], [K, T]
  Panels block_queries, block_d_out;                // [queries, K]
  Rows normalised_keys, queries;                    // [T, K], [queries, K], as factors
  float *d_keys, *d_values;                         // [T, K]
  float *d_queries, *scores, *d_scores, *delta, *pairs, *turned;

  void lay_out(const AttentionShape& s, Parts& parts) {
    const int64_t t = s.tokens, d = s.head_size, block = std::min(kBlockKeys, t),
                  queries_rows = kBlockQueries;
    const Arithmetic arithmetic = s.arithmetic;
    const Storage storage = storage_of(arithmetic);
    keys = {parts.take(panels_floats(t, d)), t, d, arithmetic};
    keys_transposed = {parts.take(panels_floats(d, t)), d, t, arithmetic};
    values_transposed = {parts.take(panels_floats(d, t)), d, t, arithmetic};
    block_queries = {parts.take(panels_floats(queries_rows, d)), queries_rows, d, arithmetic};
    block_d_out = {parts.take(panels_floats(queries_rows, d)), queries_rows, d, arithmetic};
    normalised_keys = {parts.take(t * d), d, storage};
    queries = {parts.take(queries_rows * d), d, storage};
    d_keys = parts.take(t * d);
    d_values = parts.take(t * d);
    d_queries = parts.take(queries_rows * d);
    scores = parts.take(queries_rows * block);
    d_scores = parts.take(queries_rows * block);
    pairs = parts.take(transposed_floats(block, queries_rows));
    delta = parts.take(queries_rows);
    turned = parts.take(turned_floats(s));
  }
};

// What the backward pass reads and writes, whole.
struct BackwardTensors {
  const Rows& out;
  const float* lse;
  const Rows& d_out;
  const HeadRows& gradients;
};

struct BackwardHead {
  const AttentionShape& s;
  const Head& head;
  BackwardWork& w;

  void load() const {
    w.values_transposed.pack(head.tokens(s.rows.v), true);
    head.normalised_keys(w.normalised_keys, w.turned);
    w.keys_transposed.pack(w.normalised_keys, true);
    w.keys.pack(w.normalised_keys, false);
    if (!is_masked(s)) return;
    std::fill_n(w.d_keys, s.tokens * s.head_size, 0.0F);
    std::fill_n(w.d_values, s.tokens * s.head_size, 0.0F);
  }

  // Adds one block of queries to d_keys and d_values, and gives d_queries.
  void queries(int64_t first, int64_t count, const Rows& out, const float* lse,
               const Rows& d_out_rows) {
    const int64_t d = s.head_size;
    const int64_t all_keys = head.keys_before(first + count);
    const Rows d_out = head.queries(d_out_rows, first);
    const Tile d_q{w.d_queries, d, count, d};
    head.normalised_queries(first, count, w.queries, w.turned);
    row_dots(d_out, head.queries(out, first), count, d, w.delta);
    Panels q_panels = w.block_queries, d_out_panels = w.block_d_out;
    q_panels.k = d_out_panels.k = count;
    q_panels.pack(w.queries, false);
    d_out_panels.pack(d_out, false);
    ThreadScratch& scratch = thread_scratch();
    const BlockOfA q_factors = rows_of_a(w.queries, count, d, s.arithmetic, scratch.row),
                   d_out_factors = rows_of_a(d_out, count, d, s.arithmetic, scratch.groups);
    for (int64_t key = 0; key < all_keys; key += kBlockKeys) {
      const int64_t keys = std::min(kBlockKeys, all_keys - key);
      const Tile scores{w.scores, keys, count, keys}, d_p{w.d_scores, keys, count, keys};
      const Tile d_v{w.d_values + key * d, d, keys, d}, d_k{w.d_keys + key * d, d, keys, d};
      const Rows p = factors_over(scores, s.arithmetic);
      multiply({.a = q_factors, .k = d, .first_column = key}, w.keys_transposed, scores);
      head.hide(scores, first, key);
      softmax_by_lse(scores, lse + first, p);
      multiply({.a = d_out_factors, .k = d, .first_column = key}, w.values_transposed, d_p);
      const bool is_adding = first > 0 || is_masked(s);
      multiply({.a = transposed(p, count, keys), .k = count, .is_accumulating = is_adding},
               d_out_panels, d_v);
      softmax_backward(p, d_p, w.delta);
      multiply({.a = transposed(p, count, keys), .k = count, .is_accumulating = is_adding},
               q_panels, d_k);
      multiply({.a = rows_of_a(p, count, keys, s.arithmetic, scratch.a),
                .first_k = key,
                .k = keys,
                .is_accumulating = key > 0},
               w.keys, d_q);
    }
  }

  // The transpose of [rows, columns] as a product's first factor: in place, or as pairs of rows.
  BlockOfA transposed(const Rows& p, int64_t rows, int64_t columns) const {
    if (s.arithmetic == Arithmetic::kFloat32)
      return {static_cast<const float*>(p.data), 1, p.stride, kTileRows};
    const auto* half = static_cast<const uint16_t*>(p.data);
    if (has_matrix_unit()) return transposed_pairs(half, p.stride, columns, rows, w.pairs);
    for (int64_t i = 0; i < rows; i += 2)
      pair_rows(half + i * p.stride, i + 1 < rows ? half + (i + 1) * p.stride : nullptr, columns,
                w.pairs + i / 2 * columns);
    return {w.pairs, 1, columns, kTileRows};
  }
};

void backward_head(const AttentionShape& s, int64_t index, BackwardWork& w,
                   const BackwardTensors& tensors, const QkNormGradients& sums) {
  const auto& [out, lse, d_out, gradients] = tensors;
  const Head head(s, index);
  BackwardHead backward{s, head, w};
  backward.load();
  const int64_t d = s.head_size;
  for (int64_t first = 0; first < s.queries; first += kBlockQueries) {
    const int64_t count = std::min(kBlockQueries, s.queries - first);
    backward.queries(first, count, out, lse + index * s.queries, d_out);
    const Tile d_q{w.d_queries, d, count, d};
    head.queries_backward(first, d_q, sums);
    store_rows(d_q, head.queries(gradients.q, first));
  }
  const Tile d_k{w.d_keys, d, s.tokens, d}, d_v{w.d_values, d, s.tokens, d};
  head.keys_backward(d_k, sums);
  store_rows(d_k, head.tokens(gradients.k));
  store_rows(d_v, head.tokens(gradients.v));
}

}  // namespace

void attention_backward(const AttentionShape& s, const Rows& out, const float* lse,
                        const Rows& d_out, const HeadRows& gradients,
                        const QkNormGradients& norms) {
  // Each head adds the norms' gradients to rows of its own, which are then summed in a fixed order.
  const int64_t heads = s.images * s.heads, d = s.head_size;
  float* const targets[] = {norms.q_weight, norms.q_bias, norms.k_weight, norms.k_bias};
  std::vector<float> partial(static_cast<size_t>(4 * heads * d), 0.0F);
  for_each_task(heads, [&](int64_t i) {
    auto work = laid_out<BackwardWork>(s);
    float* sums = partial.data() + 4 * i * d;
    backward_head(
        s, i, work, {out, lse, d_out, gradients},
        {norms.q_weight != nullptr ? sums : nullptr, norms.q_bias != nullptr ? sums + d : nullptr,
         norms.k_weight != nullptr ? sums + 2 * d : nullptr,
         norms.k_bias != nullptr ? sums + 3 * d : nullptr});
  });
  for (int64_t part = 0; part < 4; ++part)
    if (targets[part] != nullptr)
      add_column_sums({partial.data() + part * d, 4 * d}, heads, d, targets[part]);
}

}  // namespace vit22b::cpu
