#include <ATen/Parallel.h>

#include <limits>

#include "kernels/cpu/attention_head.h"
#include "kernels/cpu/tasks.h"

namespace vit22b::cpu {
namespace {

// Scratch of a forward task.
struct ForwardWork {
  Panels keys, values;  // [K, T] and [T, K]
  float *raw, *queries, *scores, *out, *maxima, *sums, *corrections;

  explicit ForwardWork(const AttentionShape& s) {
    const int64_t t = s.tokens, d = s.head_size, block_keys = std::min(kBlockKeys, t);
    const int64_t floats = panels_floats(d, t) + panels_floats(t, d) + t * d +
                           kBlockQueries * (2 * d + block_keys + 3) + 16 * kPanelStep;
    Parts parts(thread_scratch().c.get(floats));
    keys = {parts.take(panels_floats(d, t)), d, t};
    values = {parts.take(panels_floats(t, d)), t, d};
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
  const int64_t tasks = 2 * static_cast<int64_t>(at::get_num_threads());
  const int64_t cuts = std::min(blocks, ceil_div(tasks, heads));
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

}  // namespace vit22b::cpu
