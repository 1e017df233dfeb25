#include <ATen/Parallel.h>

#include <limits>

#include "kernels/cpu/attention_head.h"
#include "kernels/cpu/tasks.h"

namespace vit22b::cpu {
namespace {

// Scratch of a forward task.
struct ForwardWork {
  Panels keys, values;       // [K, T] and [T, K]
  Rows normalised, queries;  // [T, K] and [queries, K], as factors
  float *scores, *out, *maxima, *sums, *corrections, *turned;

  void lay_out(const AttentionShape& s, Parts& parts) {
    const int64_t t = s.tokens, d = s.head_size, block_keys = std::min(kBlockKeys, t);
    const Storage storage = storage_of(s.arithmetic);
    keys = {parts.take(panels_floats(d, t)), d, t, s.arithmetic};
    values = {parts.take(panels_floats(t, d)), t, d, s.arithmetic};
    normalised = {parts.take(t * d), d, storage};
    queries = {parts.take(kBlockQueries * d), d, storage};
    scores = parts.take(kBlockQueries * block_keys);
    out = parts.take(kBlockQueries * d);
    maxima = parts.take(kBlockQueries);
    sums = parts.take(kBlockQueries);
    corrections = parts.take(kBlockQueries);
    turned = parts.take(turned_floats(s));
  }
};

void load_keys_values(const AttentionShape& s, const Head& head, const ForwardWork& work) {
  head.normalised_keys(work.normalised, work.turned);
  work.keys.pack(work.normalised, true);
  work.values.pack(head.tokens(s.rows.v), false);
}

struct QueryBlock {
  int64_t first, count;
};

// All keys for one block of queries.
void forward_queries(const AttentionShape& s, const Head& head, const ForwardWork& w,
                     QueryBlock queries_block, const Rows& out, float* lse) {
  const auto [first, count] = queries_block;
  const int64_t d = s.head_size;
  Scratch& scratch = thread_scratch().a;
  const Tile sum{w.out, d, count, d};
  const int64_t all_keys = head.keys_before(first + count);
  head.normalised_queries(first, count, w.queries, w.turned);
  std::fill_n(w.maxima, count, -std::numeric_limits<float>::infinity());
  std::fill_n(w.sums, count, 0.0F);
  for (int64_t key = 0; key < all_keys; key += kBlockKeys) {
    const int64_t keys = std::min(kBlockKeys, all_keys - key);
    const Tile scores{w.scores, keys, count, keys};
    const Rows weights = factors_over(scores, s.arithmetic);
    multiply(
        {.a = rows_of_a(w.queries, count, d, s.arithmetic, scratch), .k = d, .first_column = key},
        w.keys, scores);
    head.hide(scores, first, key);
    online_softmax(scores, weights, w.maxima, w.sums, w.corrections);
    if (key > 0) scale_rows(sum, w.corrections);
    multiply({.a = rows_of_a(weights, count, keys, s.arithmetic, scratch),
              .first_k = key,
              .k = keys,
              .is_accumulating = key > 0},
             w.values, sum);
  }
  for (int64_t i = 0; i < count; ++i) {
    w.corrections[i] = 1 / w.sums[i];
    if (lse != nullptr) lse[first + i] = w.maxima[i] + std::log(w.sums[i]);
  }
  scale_rows(sum, w.corrections);
  store_rows(sum, head.queries(out, first));
}

}  // namespace

void attention_forward(const AttentionShape& s, const Rows& out, float* lse) {
  // Few heads and many threads: cut each head's queries, at the price of packing its keys again.
  const int64_t heads = s.images * s.heads, blocks = ceil_div(s.queries, kBlockQueries);
  const int64_t tasks = 2 * static_cast<int64_t>(at::get_num_threads());
  const int64_t cuts = std::min(blocks, ceil_div(tasks, heads));
  const int64_t blocks_per_cut = ceil_div(blocks, cuts);
  for_each_task(heads * cuts, [&](int64_t task) {
    const auto work = laid_out<ForwardWork>(s);
    const Head head(s, task / cuts);
    load_keys_values(s, head, work);
    const int64_t first = task % cuts * blocks_per_cut * kBlockQueries;
    const int64_t last = std::min(s.queries, first + blocks_per_cut * kBlockQueries);
    for (int64_t i = first; i < last; i += kBlockQueries)
      forward_queries(s, head, work, {i, std::min(kBlockQueries, last - i)}, out,
                      lse == nullptr ? nullptr : lse + task / cuts * s.queries);
  });
}

}  // namespace vit22b::cpu
