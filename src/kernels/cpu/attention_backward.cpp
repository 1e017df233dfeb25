#include "kernels/cpu/attention_head.h"
#include "kernels/cpu/tasks.h"

namespace vit22b::cpu {
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
    const int64_t floats = panels_floats(t, d) + 2 * panels_floats(d, t) +
                           2 * panels_floats(queries_rows, d) + 3 * t * d +
                           queries_rows * (3 * d + 2 * block + 1) + 32 * kPanelStep;
    Parts parts(thread_scratch().c.get(floats));
    keys = {parts.take(panels_floats(t, d)), t, d};
    keys_transposed = {parts.take(panels_floats(d, t)), d, t};
    values_transposed = {parts.take(panels_floats(d, t)), d, t};
    block_queries = {parts.take(panels_floats(queries_rows, d)), queries_rows, d};
    block_d_out = {parts.take(panels_floats(queries_rows, d)), queries_rows, d};
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
